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
	level := zerolog.WarnLevel
	if r.Level >= slog.LevelError {
		level = zerolog.ErrorLevel
	}
	attributes := map[string]any{}
	r.Attrs(func(a slog.Attr) bool {
		attributes[a.Key] = a.Value.String()
		return true
	})
	s.log.WithLevel(level).Fields(attributes).Msg(r.Message)
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
