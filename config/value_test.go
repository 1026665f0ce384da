package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "512": 512, "512B": 512, "64KiB": 64 << 10, "1MiB": 1 << 20, "2 GiB": 2 << 30} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1MB", "1mib", "9999999999GiB", "9223372036854775808"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestSizesAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"))
		var got Size
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%s: got %d, %v", want, got, err)
		}
	})
}

func TestLifetimesFollowTheCalendar(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, tc := range []struct{ name, lifetime, from, want string }{
		{"18 months end on the same day", "18mo", "2026-01-15", "2027-07-15"},
		{"a month from the 31st ends with the next month", "1mo", "2026-01-31", "2026-02-28"},
		{"a month from the 31st of a leap year's January", "1mo", "2028-01-31", "2028-02-29"},
		{"13 months from the 31st of December", "14mo", "2026-12-31", "2028-02-29"},
		{"days are counted", "30d", "2026-01-31", "2026-03-02"},
		{"hours are exact", "48h", "2026-01-31", "2026-02-02"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l Lifetime
			if err := l.UnmarshalText([]byte(tc.lifetime)); err != nil {
				t.Fatal(err)
			}
			if got := l.AddTo(day(tc.from)); !got.Equal(day(tc.want)) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if l.longest() < day(tc.want).Sub(day(tc.from)) {
				t.Errorf("longest %s is less", l.longest())
			}
		})
	}
	for _, text := range []string{"", "mo", "-1mo", "1.5mo", "121mo", "4000d", "1y", "-1h", "99999h", "1d12h"} {
		var l Lifetime
		if err := l.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, l)
		}
	}
}

func TestALifetimeNeverEndsBeyondItsMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "from"), 0).UTC()
		n := rapid.IntRange(0, maxLifetimeMonths).Draw(t, "months")
		got := Months(n).AddTo(from)
		months := (got.Year()-from.Year())*12 + int(got.Month()) - int(from.Month())
		if months != n || got.Day() > from.Day() {
			t.Fatalf("%d months after %s is %s", n, from, got)
		}
		var again Lifetime
		if err := again.UnmarshalText([]byte(Months(n).String())); err != nil || again.longest() != Months(n).longest() {
			t.Fatalf("%s is read as %s, %v", Months(n), again, err)
		}
	})
}
