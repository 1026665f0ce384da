package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written 512, 64KiB, 1MiB or 2GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size such as 512, 64KiB or 1MiB", text)
	}
	*s = Size(int64(n) * unit)
	return nil
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes what UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Lifetime is a length of time in months, days or a Go duration, written 18mo,
// 30d or 1h. A month is one of the calendar, hence AddTo.
type Lifetime struct {
	months, days int
	exact        time.Duration
}

// Months gives a lifetime of n calendar months.
func Months(n int) Lifetime { return Lifetime{months: n} }

// Days gives a lifetime of n calendar days.
func Days(n int) Lifetime { return Lifetime{days: n} }

// Exact gives a lifetime of d.
func Exact(d time.Duration) Lifetime { return Lifetime{exact: d} }

// IsZero reports a lifetime of nothing.
func (l Lifetime) IsZero() bool { return l == Lifetime{} }

// longest is the most that l can last, to compare it with a bound.
func (l Lifetime) longest() time.Duration {
	const day = 24 * time.Hour
	return time.Duration(l.months)*31*day + time.Duration(l.days)*day + l.exact
}

// AddTo gives the moment l after t. The day stays within the month: one month
// after 31 January is the last day of February.
func (l Lifetime) AddTo(t time.Time) time.Time {
	if l.months != 0 {
		moved := t.AddDate(0, l.months, 0)
		if moved.Day() != t.Day() {
			moved = moved.AddDate(0, 0, -moved.Day())
		}
		t = moved
	}
	return t.AddDate(0, 0, l.days).Add(l.exact)
}

// Ten years, in months and in days.
const maxLifetimeMonths, maxLifetimeDays = 120, 3660

// UnmarshalText reads a lifetime.
func (l *Lifetime) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is not a length of time such as 18mo, 30d or 1h, of ten years at most", text)
	if number, ok := strings.CutSuffix(string(text), "mo"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n > maxLifetimeMonths {
			return wrong
		}
		*l = Months(int(n))
		return nil
	}
	if number, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n > maxLifetimeDays {
			return wrong
		}
		*l = Days(int(n))
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > maxLifetimeDays*24*time.Hour {
		return wrong
	}
	*l = Exact(d)
	return nil
}

// String writes the lifetime as it is read.
func (l Lifetime) String() string {
	switch {
	case l.months != 0:
		return strconv.Itoa(l.months) + "mo"
	case l.days != 0:
		return strconv.Itoa(l.days) + "d"
	default:
		return tidy(l.exact.String())
	}
}

// MarshalText writes what UnmarshalText reads.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }
