package tracetree

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/internal/terminal"
)

// Render draws the tree: steps to the left, then who did it, when it began after
// the order's begin, how long it took, and what else is known.
func Render(t *Tree, out terminal.Output) string {
	var rows []row
	for _, root := range t.Roots {
		rows = appendRows(rows, t, root, "", "", out.Unicode)
	}
	var widths [4]int
	for _, r := range rows {
		for i, cell := range r.cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := fmt.Sprintf("%s  %s  %s  %s", left(r.cells[0], widths[0]), left(r.cells[1], widths[1]), right(r.cells[2], widths[2]), right(r.cells[3], widths[3]))
		switch {
		case r.failed != "":
			line += "  " + out.Paint(terminal.Red, strings.TrimSpace(r.notes+"  FAILED: "+r.failed))
		case r.notes != "":
			line += "  " + out.Paint(terminal.Faint, r.notes)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// row is a line of the picture: step, who, begin, duration.
type row struct {
	cells  [4]string
	notes  string
	failed string
}

func appendRows(rows []row, t *Tree, n *Node, first, rest string, unicode bool) []row {
	rows = append(rows, row{
		cells:  [4]string{first + n.Title, n.Service, "+" + Duration(n.Start.Sub(t.Start)), Duration(n.Duration)},
		notes:  strings.Join(n.Notes, ", "),
		failed: n.Error,
	})
	branch, last, through, blank := "├─ ", "└─ ", "│  ", "   "
	if !unicode {
		branch, last, through = "|- ", "`- ", "|  "
	}
	for i, child := range n.Children {
		if i == len(n.Children)-1 {
			rows = appendRows(rows, t, child, rest+last, rest+blank, unicode)
		} else {
			rows = appendRows(rows, t, child, rest+branch, rest+through, unicode)
		}
	}
	return rows
}

func left(s string, width int) string {
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

func right(s string, width int) string {
	return strings.Repeat(" ", width-utf8.RuneCountInString(s)) + s
}

// Duration writes a duration with about three digits: 0.42 ms, 12.3 ms, 1.20 s.
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-d)
	}
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 9.995:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 60_000:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	default:
		return d.Round(time.Second).String()
	}
}
