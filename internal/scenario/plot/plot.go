// Package plot draws lines over time as an SVG file: axes with units, a grid, a legend,
// readable on a light and on a dark page, without any script.
package plot

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
)

// Point is a value at a time.
type Point struct{ X, Y float64 }

// Series is one line.
type Series struct {
	Name   string
	Points []Point
}

// Mark is a moment, drawn as a vertical line.
type Mark struct {
	Name string
	X    float64
}

// Chart is what is drawn.
type Chart struct {
	Lang          string // of the texts, as en
	Title         string
	Summary       string // for those who cannot see it
	XLabel        string // with the unit
	YLabel        string
	Series        []Series // four at most
	Marks         []Mark
	Width, Height int // 0: 760 × 400
}

// maxPoints bounds the points of a line: more cannot be seen.
const maxPoints = 400

// Space round the plotted area.
const (
	left, right, top, bottom = 84, 24, 64, 60
	gridLines                = 6
)

// Write draws the chart.
func Write(w io.Writer, c Chart) error {
	if len(c.Series) == 0 || len(c.Series) > 4 {
		return fmt.Errorf("%d lines, want 1 to 4", len(c.Series))
	}
	if c.Width == 0 {
		c.Width, c.Height = 760, 400
	}
	var maxX, maxY float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			maxX, maxY = max(maxX, p.X), max(maxY, p.Y)
		}
	}
	for _, m := range c.Marks {
		maxX = max(maxX, m.X)
	}
	stepX, stepY := step(maxX), step(maxY)
	maxX, maxY = ceil(maxX, stepX), ceil(maxY, stepY)
	d := drawing{Chart: c, Left: left, Right: c.Width - right, Top: top, Bottom: c.Height - bottom}
	x := func(v float64) float64 { return round(left + v/maxX*float64(d.Right-left)) }
	y := func(v float64) float64 { return round(float64(d.Bottom) - v/maxY*float64(d.Bottom-top)) }
	for v := 0.0; v <= maxX+stepX/2; v += stepX {
		d.XTicks = append(d.XTicks, tick{At: x(v), Text: number(v)})
	}
	for v := 0.0; v <= maxY+stepY/2; v += stepY {
		d.YTicks = append(d.YTicks, tick{At: y(v), Text: number(v)})
	}
	legend := float64(left)
	for i, s := range c.Series {
		var path strings.Builder
		for j, p := range thin(s.Points) {
			letter := "L"
			if j == 0 {
				letter = "M"
			}
			fmt.Fprintf(&path, "%s%g %g", letter, x(p.X), y(p.Y))
		}
		d.Lines = append(d.Lines, line{Class: "s" + strconv.Itoa(i), Name: s.Name, Path: path.String(), LegendX: legend, TextX: legend + 26})
		legend += 50 + 7.5*float64(len([]rune(s.Name)))
	}
	for _, m := range c.Marks {
		d.MarkLines = append(d.MarkLines, tick{At: x(m.X), Text: m.Name})
	}
	d.MidX, d.MidY = (d.Left+d.Right)/2, (d.Top+d.Bottom)/2
	return svg.Execute(w, d)
}

// drawing is the chart with everything placed.
type drawing struct {
	Chart
	Left, Right, Top, Bottom, MidX, MidY int
	XTicks, YTicks, MarkLines            []tick
	Lines                                []line
}

type tick struct {
	At   float64
	Text string
}

type line struct {
	Class, Name, Path string
	LegendX, TextX    float64
}

// step is a round distance between grid lines: 1, 2 or 5 times a power of ten.
func step(limit float64) float64 {
	if limit <= 0 {
		return 1
	}
	raw := limit / gridLines
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw {
			return m * power
		}
	}
	return 10 * power
}

func ceil(v, step float64) float64 { return max(step, math.Ceil(v/step)*step) }

func round(v float64) float64 { return math.Round(10*v) / 10 }

// number writes a tick's value, thousands grouped by a thin space.
func number(v float64) string {
	text := strconv.FormatFloat(round(v), 'f', -1, 64)
	whole, rest, dot := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "\u2009" + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}

// thin keeps at most maxPoints, of each stretch the highest, and the last one.
func thin(points []Point) []Point {
	if len(points) <= maxPoints {
		return points
	}
	var kept []Point
	for i := range maxPoints - 1 {
		from, to := i*(len(points)-1)/(maxPoints-1), (i+1)*(len(points)-1)/(maxPoints-1)
		best := points[from]
		for _, p := range points[from:to] {
			if p.Y > best.Y {
				best = p
			}
		}
		kept = append(kept, best)
	}
	return append(kept, points[len(points)-1])
}

var svg = template.Must(template.New("svg").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" role="img" lang="{{.Lang}}" aria-labelledby="title summary">
<title id="title">{{.Title}}</title>
<desc id="summary">{{.Summary}}</desc>
<style>
.page{fill:#ffffff}.ink{fill:#1f2328}.faint{fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}.axis{stroke:#59636e;stroke-width:1}
.mark{stroke:#59636e;stroke-width:1;stroke-dasharray:4 4}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:#0969da}.s1{stroke:#bc4c00;stroke-dasharray:7 3}.s2{stroke:#1a7f37;stroke-dasharray:2 3}.s3{stroke:#8250df;stroke-dasharray:10 3 2 3}
text{font:13px system-ui,sans-serif}.head{font-size:16px;font-weight:600}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}.ink{fill:#f0f6fc}.faint{fill:#9198a1}
.grid{stroke:#3d444d}.axis{stroke:#9198a1}.mark{stroke:#9198a1}
.s0{stroke:#4493f8}.s1{stroke:#f0883e}.s2{stroke:#3fb950}.s3{stroke:#ab7df8}
}
</style>
<rect class="page" width="100%" height="100%"/>
<text class="ink head" x="{{.Left}}" y="26">{{.Title}}</text>
{{range .Lines}}<path class="line {{.Class}}" d="M{{.LegendX}} 46h20"/><text class="ink" x="{{.TextX}}" y="50">{{.Name}}</text>
{{end}}{{range .YTicks}}<path class="grid" d="M{{$.Left}} {{.At}}H{{$.Right}}"/><text class="faint" x="{{$.Left}}" y="{{.At}}" dx="-8" dy="4" text-anchor="end">{{.Text}}</text>
{{end}}{{range .XTicks}}<path class="axis" d="M{{.At}} {{$.Bottom}}v5"/><text class="faint" x="{{.At}}" y="{{$.Bottom}}" dy="20" text-anchor="middle">{{.Text}}</text>
{{end}}<path class="axis" fill="none" d="M{{.Left}} {{.Top}}V{{.Bottom}}H{{.Right}}"/>
{{range .MarkLines}}<path class="mark" d="M{{.At}} {{$.Top}}V{{$.Bottom}}"/><text class="faint" x="{{.At}}" y="{{$.Top}}" dx="6" dy="12">{{.Text}}</text>
{{end}}{{range .Lines}}<path class="line {{.Class}}" d="{{.Path}}"/>
{{end}}<text class="ink" x="{{.MidX}}" y="{{.Bottom}}" dy="44" text-anchor="middle">{{.XLabel}}</text>
<text class="ink" transform="rotate(-90 20 {{.MidY}})" x="20" y="{{.MidY}}" text-anchor="middle">{{.YLabel}}</text>
</svg>
`))
