package parking

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// NormalisePlate makes plates that people and cameras write differently the same:
// compatibility forms folded (NFKC), upper case, letters and digits only. Nothing
// left: it was no plate.
func NormalisePlate(plate string) string {
	return keep(plate, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// NormaliseJurisdiction does the same for who issued a plate, where a hyphen may
// stand between country and region.
func NormaliseJurisdiction(jurisdiction string) string {
	return keep(jurisdiction, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' })
}

func keep(text string, wanted func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if wanted(r) {
			return r
		}
		return -1
	}, strings.ToUpper(norm.NFKC.String(text)))
}
