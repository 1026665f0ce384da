package main

import (
	"context"
	"log/slog"

	"github.com/rs/zerolog"
)

// slogToZerolog takes a library's warnings and errors into our log.
type slogToZerolog struct{ log zerolog.Logger }

func (s slogToZerolog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (s slogToZerolog) Handle(_ context.Context, r slog.Record) error {
	event := s.log.Warn()
	if r.Level >= slog.LevelError {
		event = s.log.Error()
	}
	r.Attrs(func(a slog.Attr) bool {
		event = event.Str(a.Key, a.Value.String())
		return true
	})
	event.Msg(r.Message)
	return nil
}

func (s slogToZerolog) WithAttrs(attrs []slog.Attr) slog.Handler {
	log := s.log.With()
	for _, a := range attrs {
		log = log.Str(a.Key, a.Value.String())
	}
	return slogToZerolog{log.Logger()}
}

func (s slogToZerolog) WithGroup(string) slog.Handler { return s }
