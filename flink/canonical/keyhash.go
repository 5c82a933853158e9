package canonical

import (
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
)

// errProved ends the reading of keys.
var errProved = errors.New("the formula is decided")

// findHash decides how the hash codes of the keys are computed. Where users' classes
// have a part in it the stored keys tell: each lies in the key group of its hash
// code, so a formula is only taken if it agrees with the keys, and with so many that
// it cannot be chance. It reads keys until that is so, at most all.
func (k *Keyed) findHash() (*serde.Hasher, error) {
	if len(k.header.Key.UserClasses()) == 0 {
		h, err := k.header.Key.Hasher(nil)
		return h, k.noHash(err, "")
	}
	p, err := k.header.Key.NewProver(int(k.op.MaxParallelism), k.o.KeyHash)
	if err != nil {
		return nil, k.noHash(err, "")
	}
	if err := k.eachKey(p); err != nil {
		return nil, err
	}
	h, user, err := p.Result()
	k.user = user
	return h, k.noHash(err, `, or say how it is computed: --key-hash "`+k.name()+`=STYLE(FIELD, FIELD)"`)
}

// KeyHash is how the hash codes of users' classes among the keys are computed, by
// class: nil if keys stay in their key groups or have no such classes.
func (k *Keyed) KeyHash() map[string]serde.Formula { return k.user }

// noHash refuses what has no hash code that is known.
func (k *Keyed) noHash(err error, other string) error {
	if err == nil {
		return nil
	}
	return k.refuse(checkpoint.NoSubtask, fmt.Sprintf("the number of its key groups cannot change: its keys are of type %s: %v", k.header.Key, err),
		"the same command without --key-groups for this operator"+other)
}

// eachKey tells a prover of keys until it wants no more.
func (k *Keyed) eachKey(p *serde.Prover) error {
	for i := range k.list {
		switch err := k.keysOf(&k.list[i], p); {
		case errors.Is(err, errProved):
			return nil
		case err != nil:
			return damaged(k.src.Dir(), err)
		}
	}
	if len(k.list) > 0 && p.Keys() > 0 {
		return nil
	}
	return k.rawFiles(func(_ int32, f state.KeyedFile) error {
		for t, err := range state.RawTimers(f) {
			if err != nil {
				return damaged(k.src.Dir(), err)
			}
			if more, err := p.Add(t.Key, t.KeyGroup); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// keysOf tells a prover of the keys of a part.
func (k *Keyed) keysOf(part *part, p *serde.Prover) error {
	return k.walk(part, func(e *state.Entry) error {
		if !e.Split {
			return nil // refused when it is written
		}
		more, err := p.Add(e.Key, e.KeyGroup)
		if err == nil && !more {
			err = errProved
		}
		return err
	})
}

// walk calls use for each entry of a part, until it returns an error.
func (k *Keyed) walk(part *part, use func(*state.Entry) error) error {
	if part.header == nil {
		return nil
	}
	o, err := k.open(part)
	defer o.close()
	if err != nil {
		return err
	}
	n := 0
	for e, err := range o.entries {
		if err != nil {
			return err
		}
		if n++; n%1024 == 0 && k.ctx.Err() != nil {
			return k.ctx.Err()
		}
		if err := use(e); err != nil {
			return err
		}
	}
	return nil
}
