package document

import "github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"

// DoctorSchema names the document of doctor.
const DoctorSchema = "tidemark.doctor/1"

// Doctor is one page about a root.
type Doctor struct {
	Schema      string       `json:"schema"`
	Root        string       `json:"root"`
	Level       string       `json:"level"`
	Intact      Text         `json:"newestIntact"`
	Damaged     int          `json:"damaged"`
	Runs        uint64       `json:"lastRun"` // 0 if none is recorded
	Usage       DuTotal      `json:"usage"`
	Checkpoints []DoctorLine `json:"checkpoints"`
	Next        []string     `json:"next"` // commands
}

// DoctorLine is one checkpoint.
type DoctorLine struct {
	Path     string `json:"path"`
	State    string `json:"state"` // intact, damaged, unreadable, never committed, being written
	Findings int    `json:"findings"`
	Problem  Text   `json:"problem"` // the first
	Flink    bool   `json:"-"`       // it is one of Flink's
}

// Advise finds the newest intact checkpoint and says what to do next. The
// checkpoints ascend by id.
func (d *Doctor) Advise() {
	newest, restore := "", ""
	for _, l := range d.Checkpoints {
		switch l.State {
		case "intact":
			d.Intact, restore = Text(l.Path), "tidemark run JOB --restore "
			if l.Flink {
				restore = "flink run JOB.jar -s "
			}
		case "damaged", "unreadable":
			d.Damaged++
		default:
			continue
		}
		newest = l.Path
	}
	for _, l := range d.Checkpoints {
		if l.State == "damaged" {
			d.Next = append(d.Next, "tidemark verify "+out.Word(l.Path)+"  # what is damaged, and where")
		}
	}
	if d.Intact != "" {
		comment := "  # the newest checkpoint"
		if string(d.Intact) != newest {
			comment = "  # the newest intact one"
		}
		d.Next = append(d.Next, restore+out.Word(string(d.Intact))+comment)
		if d.Level != "records" {
			d.Next = append(d.Next, "tidemark verify "+out.Word(string(d.Intact))+"  # reads every byte of it first")
		}
	}
	if d.Usage.Orphaned > 0 || d.Usage.Incomplete > 0 {
		d.Next = append(d.Next, "tidemark du --orphans "+out.Word(d.Root)+"  # what nothing uses")
	}
	if len(d.Next) == 0 {
		d.Next = append(d.Next, "tidemark ls "+out.Word(d.Root))
	}
}
