package native

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
)

// externalKind begins the items by which a sink remembers a file that it has
// completed and not yet published (R10): JSON, so that every tool sees it.
var externalKind = []byte(`{"kind":"tidemark.filesink/`)

// maxExternal is how many files are listed by name.
const maxExternal = 1000

// externalFile tells whether an item of a list refers to a file outside, and to
// which. In front of the JSON stands at most its length.
func externalFile(item []byte) (string, bool) {
	at := bytes.Index(item[:min(len(item), 10+len(externalKind))], externalKind)
	if at < 0 {
		return "", false
	}
	var file struct{ Name, Dir string }
	if json.Unmarshal(item[at:], &file) != nil {
		return "(unreadable)", true
	}
	if file.Dir == "" {
		return file.Name, true
	}
	return file.Dir + "/" + file.Name, true
}

// outside lists a file by name.
func (j *job) outside(name string) {
	if len(j.external) < maxExternal {
		j.external = append(j.external, name)
	}
}

// reference is what becomes of an item of an operator's list: itself, the
// reference to a copy of the file that it refers to, or nil.
func (j *job) reference(operator int, item []byte) ([]byte, error) {
	old, ok := externalFile(item)
	switch {
	case !ok || j.edit.External == checkpoint.ExternalKeep:
		return item, nil
	case j.edit.External == checkpoint.ExternalDrop:
		return nil, nil
	}
	at := bytes.Index(item, externalKind)
	if at > 0 && !bytes.Equal(item[:at], binary.AppendUvarint(nil, uint64(len(item)-at))) {
		return nil, fmt.Errorf("the reference to %s has the length %x in front: %w", old, item[:at], format.ErrMalformed)
	}
	made, err := j.edit.CopyExternal(j.ctx, j.src.operators[operator].UID, item[at:])
	if err != nil {
		return nil, err
	}
	if at > 0 {
		made = append(binary.AppendUvarint(nil, uint64(len(made))), made...)
	}
	name, _ := externalFile(made)
	j.copied = append(j.copied, name)
	return made, nil
}

// decideExternal looks for references to files outside and refuses them unless
// the edit says what to do with them.
func (j *job) decideExternal() error {
	if j.edit.External == checkpoint.ExternalKeep && !j.edit.KeepKind {
		return nil // only a copy lists them: the others are not to read what they need not
	}
	for row, st := range j.src.states {
		if st.Kind != format.KindSplitList || j.fates[row] == dropped {
			continue
		}
		uid := j.src.operators[st.Operator].UID
		var files, size uint64
		for item, err := range j.src.ItemsIn(j.ctx, row, st.Kind, func(format.Slice) bool { return true }) {
			if err != nil {
				return err
			}
			name, ok := externalFile(item.Row.Value)
			if !ok {
				continue
			}
			files, size = files+1, size+uint64(len(item.Row.Value))
			j.outside(name)
		}
		if files == 0 {
			continue
		}
		switch j.edit.External {
		case checkpoint.ExternalKeep:
			continue
		case checkpoint.ExternalCopy: // when the list is written
			j.fates[row] = anew
			continue
		case checkpoint.ExternalDrop:
		default:
			place := checkpoint.Nowhere()
			place.Operator, place.State = uid, st.Name
			return checkpoint.Refuse(place, fmt.Sprintf("it refers to %d files of output outside the checkpoint that may not be published yet, the first is %s", files, j.external[0]),
				"the same command with --external-files keep (the job will look for them where they are), copy or drop")
		}
		l := j.loss(uid, "references to files outside were left out as asked for")
		l.State, l.Records, l.Bytes = st.Name, files, size
		l.Place = checkpoint.Selector{Operator: uid, State: st.Name}.String()
		j.losses = append(j.losses, l)
		j.fates[row] = anew
	}
	return nil
}
