package config

import (
	"slices"
	"strings"
)

// Nearest returns up to three names of the level that a misspelt one may have
// meant, the likeliest first.
func Nearest(l Level, name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	name = strings.ToLower(name)
	if len(name) > 100 {
		return nil
	}
	limit := 1 + len(name)/4
	for _, d := range defs[l] {
		distance := editDistance(name, d.Name)
		if parts := strings.Split(name, "."); distance > limit && samePartsBut(parts, strings.Split(d.Name, ".")) {
			distance = limit
		}
		if distance <= limit {
			found = append(found, candidate{d.Name, distance})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range found[:min(3, len(found))] {
		names = append(names, c.name)
	}
	return names
}

// samePartsBut reports whether two dotted names have the same words, in any order
// and with any between dot, hyphen and underscore, or differ by a prefix log.
func samePartsBut(a, b []string) bool {
	norm := func(parts []string) []string {
		words := strings.FieldsFunc(strings.Join(parts, "."), func(r rune) bool { return r == '.' || r == '_' || r == '-' })
		words = slices.DeleteFunc(words, func(w string) bool { return w == "log" })
		slices.Sort(words)
		return words
	}
	return slices.Equal(norm(a), norm(b))
}

// editDistance counts the insertions, deletions, replacements and swaps of two
// neighbours that make b of a.
func editDistance(a, b string) int {
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}
