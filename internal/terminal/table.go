package terminal

import (
	"strings"
	"unicode/utf8"
)

// Table lays out rows in columns. The first row is the heading.
type Table struct {
	Rows  [][]string
	Right []bool // which columns hold numbers and stand to the right
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Render draws the table with two blanks between columns and no trailing blank.
func (t *Table) Render(o Output) string {
	var widths []int
	for _, row := range t.Rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range t.Rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < len(t.Right) && t.Right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = o.Paint(Bold, text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}
