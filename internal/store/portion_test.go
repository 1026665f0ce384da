package store

import (
	"maps"
	"slices"
	"testing"
	"time"
)

func TestALimitForgetsThoseWhoDidNotComeBack(t *testing.T) {
	t.Parallel()
	l := (&Store{}).NewSharedLimit("test", 60)
	start := time.Now()
	l.of("once", start)
	l.of("often", start)
	l.of("often", start.Add(portionFor/2))
	held := l.of("late", start.Add(portionFor+time.Second))
	if got := slices.Sorted(maps.Keys(l.callers)); !slices.Equal(got, []string{"late", "often"}) {
		t.Errorf("kept: %q", got)
	}
	if l.of("late", start.Add(portionFor+2*time.Second)) != held {
		t.Error("who came back has another portion")
	}
}
