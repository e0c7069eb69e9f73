package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// rates plots how much each server does.
func (c *comparison) rates() []byte {
	p := newPlot("What one core does")
	for _, group := range c.groups {
		m := group[0].metric
		if m.less {
			continue
		}
		p.panel(m.title, m.rate+", more is better", bars(group, func(f *figure) (spread, string) {
			if f.bound() {
				return f.value, rounded(f.value.median) + " †"
			}
			return f.value, rounded(f.value.median)
		}))
	}
	notes := []string{
		"Each server has one core, the load generator another.",
		fmt.Sprintf("A bar is the median of %d rounds, the line on it their range.", c.machine.Rounds),
	}
	if c.anyBound() {
		notes = append(notes, "† The generator's core was full and the server's was not:", "   the server could do more.")
	}
	p.note(notes)
	return p.svg()
}

// costs plots what it costs.
func (c *comparison) costs() []byte {
	p := newPlot("What it costs")
	for _, group := range c.groups {
		m := group[0].metric
		if m.cost == nil {
			p.panel(m.title, m.rate+", less is better", bars(group, func(f *figure) (spread, string) { return f.value, rounded(f.value.median) }))
			continue
		}
		p.panel(m.title, "µs of processor time "+m.perUnit+", less is better", bars(group, func(f *figure) (spread, string) { return f.cost, micros(f.cost.median) }))
	}
	return p.svg()
}

// A bar is one of a panel.
type bar struct {
	name  string
	own   bool // it is belfry's
	value spread
	label string
}

func bars(group []figure, of func(*figure) (spread, string)) []bar {
	var all []bar
	for i := range group {
		f := &group[i]
		value, label := of(f)
		all = append(all, bar{titles[f.peer], f.peer == "belfry", value, label})
	}
	return all
}

// Sizes of a plot, in pixels.
const (
	margin      = 28
	columns     = 2
	panelWidth  = 440
	panelGap    = 32
	headHeight  = 44 // of a panel: title and unit
	rowHeight   = 30
	barHeight   = 18
	nameWidth   = 82
	labelWidth  = 84
	titleHeight = 44
	panelHeight = headHeight + 3*rowHeight + 22
)

// A plot is panels in columns, under a title. It brings its own background, light or dark as
// the reader's system is, so that it can be read on any page.
type plot struct {
	title string
	body  bytes.Buffer
	count int
}

func newPlot(title string) *plot { return &plot{title: title} }

// style are the colours, of both themes.
const style = `
	svg { --paper: #ffffff; --edge: #e3e6eb; --ink: #1d2430; --faint: #697386; --track: #f1f3f6; --own: #4c5fd5; --other: #a9b4c4; --range: #1d2430; font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif }
	@media (prefers-color-scheme: dark) { svg { --paper: #14181f; --edge: #2b323d; --ink: #e6eaf0; --faint: #98a3b3; --track: #1d232c; --own: #8c9bff; --other: #4d5868; --range: #e6eaf0 } }
	.paper { fill: var(--paper); stroke: var(--edge) }
	text { fill: var(--ink) }
	.title { font-size: 18px; font-weight: 650 }
	.head { font-size: 13.5px; font-weight: 600 }
	.unit { font-size: 12px; fill: var(--faint) }
	.name { text-anchor: end }
	.own { font-weight: 650 }
	.value { font-variant-numeric: tabular-nums }
	.track { fill: var(--track) }
	.bar { fill: var(--other) }
	.bar.own { fill: var(--own) }
	.range { stroke: var(--range); stroke-width: 1.5; opacity: .6; fill: none }
`

// panel adds one. Its bars share a scale that begins at 0.
func (p *plot) panel(title, unit string, bars []bar) {
	x, y := p.place()
	p.text(x, y+14, "head", title)
	p.text(x, y+31, "unit", unit)
	longest := 0.0
	for _, b := range bars {
		longest = max(longest, b.value.max)
	}
	left, width := x+nameWidth+10, panelWidth-nameWidth-10-labelWidth
	for i, b := range bars {
		top := y + headHeight + i*rowHeight
		middle := float64(top) + barHeight/2.0
		at := func(value float64) float64 { return float64(left) + value/longest*float64(width) }
		class := ""
		if b.own {
			class = " own"
		}
		p.text(x+nameWidth, top+13, "name"+class, b.name)
		fmt.Fprintf(&p.body, `<rect class="track" x="%d" y="%d" width="%d" height="%d" rx="4"/>`+"\n", left, top, width, barHeight)
		fmt.Fprintf(&p.body, `<rect class="bar%s" x="%d" y="%d" width="%.1f" height="%d" rx="4"/>`+"\n", class, left, top, max(at(b.value.median)-float64(left), 2), barHeight)
		if from, to := at(b.value.min), at(b.value.max); to-from >= 1 {
			fmt.Fprintf(&p.body, `<path class="range" d="M%.1f %.1fv6m0 -3H%.1fm0 -3v6"/>`+"\n", from, middle-3, to)
		}
		p.text(left+width+8, top+13, "value"+class, b.label)
	}
}

// note puts lines where a panel would be.
func (p *plot) note(lines []string) {
	x, y := p.place()
	for i, line := range lines {
		p.text(x, y+headHeight+13+i*20, "unit", line)
	}
}

// place is the corner of the next panel.
func (p *plot) place() (x, y int) {
	x = margin + p.count%columns*(panelWidth+panelGap)
	y = margin + titleHeight + p.count/columns*panelHeight
	p.count++
	return x, y
}

func (p *plot) text(x, y int, class, text string) {
	fmt.Fprintf(&p.body, `<text x="%d" y="%d" class="%s">`, x, y, class)
	xml.EscapeText(&p.body, []byte(text))
	p.body.WriteString("</text>\n")
}

// svg is the whole picture.
func (p *plot) svg() []byte {
	width := 2*margin + columns*panelWidth + (columns-1)*panelGap
	rows := (p.count + columns - 1) / columns
	height := 2*margin + titleHeight + rows*panelHeight - 32
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="t">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title id=\"t\">%s</title>\n<style>%s</style>\n", p.title, style)
	fmt.Fprintf(&b, `<rect class="paper" x="0.5" y="0.5" width="%d" height="%d" rx="12"/>`+"\n", width-1, height-1)
	fmt.Fprintf(&b, `<text x="%d" y="%d" class="title">%s</text>`+"\n", margin, margin+18, p.title)
	b.Write(p.body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}
