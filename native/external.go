package native

import (
	"bytes"
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

// dropsExternal reports whether references to files outside are left out.
func (j *job) dropsExternal() bool { return j.edit.External == checkpoint.ExternalDrop }

// decideExternal looks for references to files outside and refuses them unless
// the edit says what to do with them.
func (j *job) decideExternal() error {
	if j.edit.External == checkpoint.ExternalKeep {
		return nil
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
			if len(j.external) < maxExternal {
				j.external = append(j.external, name)
			}
		}
		if files == 0 {
			continue
		}
		if !j.dropsExternal() {
			place := checkpoint.Nowhere()
			place.Operator, place.State = uid, st.Name
			return checkpoint.Refuse(place, fmt.Sprintf("it refers to %d files of output outside the checkpoint that may not be published yet, the first is %s", files, j.external[0]),
				"the same command with --external-files keep (the job will look for them where they are) or drop")
		}
		l := j.loss(uid, "references to files outside were left out as asked for")
		l.State, l.Records, l.Bytes = st.Name, files, size
		l.Place = checkpoint.Selector{Operator: uid, State: st.Name}.String()
		j.losses = append(j.losses, l)
		j.fates[row] = anew
	}
	return nil
}
