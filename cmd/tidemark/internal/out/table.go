package out

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Columns is the width that tables keep to.
const Columns = 80

// Align says how a column's cells stand, and where a cell that is too long is
// cut.
type Align int

// Alignments.
const (
	Left  Align = iota // cut at the end
	Right              // numbers; never cut
	Path               // cut at the front: the last part of a path tells most
	Keep               // as Left, but cut only after the others
)

// Column is one column of a table.
type Column struct {
	Name  string
	Align Align
}

// Table is rows of text below a head. Cells are escaped when they are added.
type Table struct {
	Head []Column
	Wide bool // do not cut
	rows [][]string
	look []func(string) string // colour of each row, nil for none
}

// Row adds a row of as many cells as there are columns.
func (t *Table) Row(cells ...string) { t.Look(nil, cells...) }

// Look adds a row that is passed through the function, which may add colour
// but nothing visible.
func (t *Table) Look(look func(string) string, cells ...string) {
	row := make([]string, len(t.Head))
	for i := range row {
		if i < len(cells) {
			row[i] = Escape(cells[i])
		}
	}
	t.rows = append(t.rows, row)
	t.look = append(t.look, look)
}

// Write writes the head and the rows. A table without rows writes nothing.
func (t *Table) Write(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := t.widths()
	head := make([]string, len(t.Head))
	for i, c := range t.Head {
		head[i] = c.Name
	}
	var b strings.Builder
	for i, row := range append([][]string{head}, t.rows...) {
		line := t.line(row, widths)
		if i > 0 && t.look[i-1] != nil {
			line = t.look[i-1](line)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths gives each column what its widest cell needs. If that is too much, the
// widest of the columns that can be cut gives way, again and again; columns of
// alignment Keep do so only when the others have little left.
func (t *Table) widths() []int {
	widths := make([]int, len(t.Head))
	total := 2 * (len(widths) - 1)
	for i, c := range t.Head {
		widths[i] = width(c.Name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], width(row[i]))
		}
		total += widths[i]
	}
	if t.Wide {
		return widths
	}
	total = t.shrink(widths, total, 10, Left, Path)
	t.shrink(widths, total, 6, Left, Path, Keep)
	return widths
}

// shrink narrows columns of the alignments to no less than the least until the
// table fits, and returns its width.
func (t *Table) shrink(widths []int, total, least int, aligns ...Align) int {
	for ; total > Columns; total-- {
		most := -1
		for i, c := range t.Head {
			if slices.Contains(aligns, c.Align) && widths[i] > max(least, width(c.Name)) && (most < 0 || widths[i] > widths[most]) {
				most = i
			}
		}
		if most < 0 {
			break
		}
		widths[most]--
	}
	return total
}

func (t *Table) line(row []string, widths []int) string {
	cells := make([]string, len(row))
	for i, text := range row {
		text = cut(text, widths[i], t.Head[i].Align)
		pad := strings.Repeat(" ", max(0, widths[i]-width(text)))
		if t.Head[i].Align == Right {
			cells[i] = pad + text
		} else {
			cells[i] = text + pad
		}
	}
	return strings.TrimRight(strings.Join(cells, "  "), " ")
}

// cut shortens text to at most n columns, with a sign where something is
// missing.
func cut(text string, n int, align Align) string {
	if width(text) <= n {
		return text
	}
	runes := []rune(text)
	if align == Path {
		slices.Reverse(runes)
	}
	kept, used := runes[:0], 1
	for _, r := range runes {
		if used += runeWidth(r); used > n {
			break
		}
		kept = append(kept, r)
	}
	if align == Path {
		slices.Reverse(kept)
		return "…" + string(kept)
	}
	return string(kept) + "…"
}

// Fields writes lines of a name and a value, the values below each other and
// wrapped at blanks.
func Fields(w io.Writer, pairs ...[2]string) error {
	longest := 0
	for _, p := range pairs {
		longest = max(longest, width(p[0]))
	}
	var b strings.Builder
	for _, p := range pairs {
		name := p[0]
		for _, line := range Wrap(Escape(p[1]), Columns-longest-2) {
			b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %s", longest, name, line), " "))
			b.WriteByte('\n')
			name = ""
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Wrap cuts text at blanks into lines of at most n columns; a longer word has a
// line of its own. There is always one line.
func Wrap(text string, n int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case width(*last)+1+width(word) <= n:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }
