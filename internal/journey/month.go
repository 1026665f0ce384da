package journey

import (
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// earlyInMonth reports that the CAF may not have computed this month yet: from
// its first day to the Sunday after the first Saturday dated 2 or later
// (api-particulier.md, 6).
func earlyInMonth(day time.Time) bool {
	saturday := time.Date(day.Year(), day.Month(), 2, 0, 0, 0, 0, day.Location())
	for saturday.Weekday() != time.Saturday {
		saturday = saturday.AddDate(0, 0, 1)
	}
	return day.Day() <= saturday.Day()+1
}

// birthDateDiffers reports that none of the allocataires was born on a date that
// can be hers; none given: nothing is known, nothing differs (AP-10).
func birthDateDiffers(hers string, list []connectors.FamilyMember) bool {
	for _, a := range list {
		if sameBirthDate(hers, a.BirthDate) {
			return false
		}
	}
	return len(list) > 0
}

// sameBirthDate compares FranceConnect's date, whose month and day may be
// presumed to be 01, with one of a file, whose parts may be zeros.
func sameBirthDate(hers, file string) bool {
	const length = len("2006-01-02")
	if len(hers) != length || len(file) != length {
		return true // nothing to compare
	}
	part := func(date string, from, to int) string { return date[from:to] }
	hisYear, hisMonth, hisDay := part(file, 0, 4), part(file, 5, 7), part(file, 8, 10)
	year, month, day := part(hers, 0, 4), part(hers, 5, 7), part(hers, 8, 10)
	switch {
	case hisYear == "0000":
		return true
	case hisYear != year:
		return false
	case hisMonth == "00", month == "01" && day == "01":
		return true
	case hisMonth != month:
		return false
	}
	return hisDay == "00" || day == "01" || hisDay == day
}
