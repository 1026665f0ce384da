package partnertest

import (
	"fmt"
	"path"
	"strings"
)

// Route picks calls by side, method and path. Its text is
//
//	[side:][METHOD] [/path/glob]
//
// where a path segment may hold the wildcards of path.Match, "**" stands for
// any number of segments, and whatever is left out picks everything:
//
//	"POST /management/v2/**/_renew"   "/health"   "DELETE"   "gateway:GET /**"   ""
type Route string

// Valid says what is wrong with the route's text.
func (r Route) Valid() error {
	_, _, glob := r.parts()
	if glob != "" && !strings.HasPrefix(glob, "/") {
		return fmt.Errorf("partnertest: route %q: the path must begin with /", r)
	}
	for segment := range strings.SplitSeq(glob, "/") {
		if _, err := path.Match(segment, ""); err != nil {
			return fmt.Errorf("partnertest: route %q: segment %q: %w", r, segment, err)
		}
	}
	return nil
}

// Matches reports whether a call is picked. The path is the decoded one, without query.
func (r Route) Matches(side, method, urlPath string) bool {
	wantSide, wantMethod, glob := r.parts()
	return (wantSide == "" || wantSide == side) &&
		(wantMethod == "" || wantMethod == "*" || strings.EqualFold(wantMethod, method)) &&
		(glob == "" || matchSegments(strings.Split(glob, "/"), strings.Split(urlPath, "/")))
}

func (r Route) parts() (side, method, glob string) {
	rest := strings.TrimSpace(string(r))
	if colon := strings.IndexByte(rest, ':'); colon >= 0 && !strings.ContainsAny(rest[:colon], " /") {
		side, rest = rest[:colon], strings.TrimSpace(rest[colon+1:])
	}
	if rest == "" || strings.HasPrefix(rest, "/") {
		return side, "", rest
	}
	method, glob, _ = strings.Cut(rest, " ")
	return side, method, strings.TrimSpace(glob)
}

func matchSegments(globs, segments []string) bool {
	for i, glob := range globs {
		if glob == "**" {
			for skip := range len(segments) + 1 {
				if matchSegments(globs[i+1:], segments[skip:]) {
					return true
				}
			}
			return false
		}
		if len(segments) == 0 {
			return false
		}
		if ok, err := path.Match(glob, segments[0]); err != nil || !ok {
			return false
		}
		segments = segments[1:]
	}
	return len(segments) == 0
}
