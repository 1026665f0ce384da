package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrRunning is wrapped by Start when another server already works in the
// directory.
var ErrRunning = errors.New("a PostgreSQL server already runs in this directory")

const (
	// lastWishes is how long Start waits for a server whose own process was
	// killed, and which is on its way out.
	lastWishes = 15 * time.Second
	// lastResort is how long Stop waits, once its context has ended, between an
	// immediate shutdown and the kill.
	lastResort = 2 * time.Second
)

// Options say where and how a server runs.
type Options struct {
	// Dir is the kept directory of a durable server, made when it is missing; for
	// a throwaway server, where its temporary directory is made ("": in memory
	// where there is room, else the system's).
	Dir string
	// BinDir holds initdb and postgres; "" searches for them.
	BinDir string
	// Throwaway gives speed for durability (no fsync); Stop removes the directory,
	// and so does the end of this process.
	Throwaway bool
	// Settings are postgresql.conf's parameters, such as "max_connections".
	Settings map[string]string
	// Log receives the server's own log lines; nil drops them.
	Log io.Writer
}

// Server is a running PostgreSQL.
type Server struct {
	layout    layout
	throwaway bool
	lock      *os.File
	reaper    *reaper

	process *os.Process
	output  *tail
	done    chan struct{} // closed when the process has ended
	exit    error         // how; read after done

	stop    sync.Once
	stopped error
}

// Start makes the data directory where it is missing, starts a server on it and
// waits until it answers or ctx ends. A directory whose server was killed
// recovers by itself; ErrRunning says that one is alive there. Without
// PostgreSQL's programs the error is ErrNoPrograms.
func Start(ctx context.Context, opts Options) (*Server, error) {
	return start(ctx, opts, identities())
}

func start(ctx context.Context, opts Options, among []identity) (*Server, error) {
	if opts.Dir == "" && !opts.Throwaway {
		return nil, errors.New("localpg: a durable server needs a directory")
	}
	bin, err := findPrograms(opts.BinDir, installed)
	if err != nil {
		return nil, fmt.Errorf("localpg: %w", err)
	}
	s := &Server{throwaway: opts.Throwaway}
	if err := s.open(ctx, opts, bin, among); err != nil {
		return nil, fmt.Errorf("localpg: %w", errors.Join(err, s.tidy()))
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, opts Options, bin programs, among []identity) error {
	home := opts.Dir
	if opts.Throwaway {
		if home == "" {
			home = scratch()
		}
		dir, err := os.MkdirTemp(home, "passerelle-pg-")
		if err != nil {
			return err
		}
		home = dir
		s.layout.home = dir
		if s.reaper, err = startReaper(dir); err != nil {
			return err
		}
	}
	var err error
	if s.layout, err = newLayout(home); err != nil {
		return err
	}
	if s.lock, err = lock(s.layout.home); err != nil {
		return err
	}
	as, err := s.prepare(ctx, bin, among)
	if err != nil {
		return err
	}

	limit := time.Now().Add(lastWishes)
	var alive error
	for {
		err := s.launch(ctx, bin, as, opts)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errors.Join(alive, err)
		case !errors.Is(err, ErrRunning) || time.Now().After(limit):
			return err
		}
		alive = err
		select {
		case <-ctx.Done():
			return errors.Join(alive, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// prepare makes sure of the data directory, and says as whom to run on it.
func (s *Server) prepare(ctx context.Context, bin programs, among []identity) (identity, error) {
	ready, err := s.layout.initialised()
	if err != nil {
		return identity{}, err
	}
	if !ready {
		return s.layout.initdb(ctx, bin, among, s.throwaway)
	}
	as, err := s.layout.owner(among)
	if err != nil {
		return identity{}, err
	}
	return as, as.own(s.layout.home, s.layout.socket)
}

// lock keeps a second process of ours out of the directory for as long as this
// one lives.
func lock(home string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s is in use by another process: stop that one first", ErrRunning, home)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// launch starts the process and waits until it answers, has ended or ctx ends.
func (s *Server) launch(ctx context.Context, bin programs, as identity, opts Options) error {
	s.output = &tail{}
	s.done = make(chan struct{})
	cmd := exec.CommandContext(context.WithoutCancel(ctx), bin.postgres, s.layout.arguments(opts.Settings, opts.Throwaway)...)
	cmd.Dir = s.layout.home
	cmd.Stderr = s.output
	if opts.Log != nil {
		cmd.Stderr = io.MultiWriter(s.output, opts.Log)
	}
	cmd.SysProcAttr = as.attr(s.shutdown())

	started := make(chan error, 1)
	go func() {
		// The kernel ties the parent-death signal to this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			s.exit = cmd.Wait()
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		s.done = nil
		return fmt.Errorf("start postgres as %s: %w", as.name, err)
	}
	s.process = cmd.Process
	return s.awaitReady(ctx)
}

func (s *Server) awaitReady(ctx context.Context) error {
	var refusal error // the last that is not about ctx itself
	for {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			refusal = err
		}
		select {
		case <-s.done:
			return s.ended()
		case <-ctx.Done():
			_ = s.process.Signal(s.shutdown())
			s.wait(context.WithoutCancel(ctx), lastResort)
			return fmt.Errorf("postgres did not become ready: %w (last answer: %v)\n%s", ctx.Err(), refusal, s.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers tells whether this very process serves the directory: another one
// that is still alive there would answer on the same socket.
func (s *Server) answers(ctx context.Context) error {
	pidFile, err := os.ReadFile(filepath.Join(s.layout.data, "postmaster.pid"))
	if err != nil {
		return err
	}
	if pid, _, _ := strings.Cut(string(pidFile), "\n"); pid != strconv.Itoa(s.process.Pid) {
		return fmt.Errorf("process %s has the directory", pid)
	}
	conn, err := pgconn.Connect(ctx, s.URL(superuser))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// ended explains a server that is gone.
func (s *Server) ended() error {
	log := s.output.String()
	if strings.Contains(log, `"postmaster.pid" already exists`) {
		return fmt.Errorf("%w: stop it first\n%s", ErrRunning, log)
	}
	return fmt.Errorf("postgres ended (%v)\n%s", s.exit, log)
}

// shutdown is the signal that stops the server: "fast" keeps the data
// directory clean, "immediate" is for one that is thrown away.
func (s *Server) shutdown() syscall.Signal {
	if s.throwaway {
		return syscall.SIGQUIT
	}
	return syscall.SIGINT
}

// URL is the connection URL of one of the server's databases; "postgres" always
// exists.
func (s *Server) URL(database string) string { return socketURL(s.layout.socket, database) }

func socketURL(socket, database string) string {
	query := url.Values{"host": {socket}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// RunningURL is the URL of a database of the server that another process runs in
// a directory (Options.Dir). An error: none runs there, or not ours to see.
func RunningURL(dir, database string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dataOf(dir), "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("localpg: no server runs in %s: %w", dir, err)
	}
	// Process, data directory, start, port, socket's directory (PostgreSQL, miscadmin.h).
	lines := strings.Split(string(text), "\n")
	const socketLine = 4
	if len(lines) <= socketLine || lines[socketLine] == "" {
		return "", fmt.Errorf("localpg: the server in %s is starting", dir)
	}
	process, err := strconv.Atoi(lines[0])
	if err != nil || process <= 1 || errors.Is(syscall.Kill(process, 0), syscall.ESRCH) {
		return "", fmt.Errorf("localpg: the server in %s was killed", dir)
	}
	return socketURL(lines[socketLine], database), nil
}

// EnsureDatabase creates the database when it is missing.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL(superuser))
	if err != nil {
		return fmt.Errorf("localpg: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("localpg: look for database %s: %w", name, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("localpg: create database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server in order: it rolls open transactions back and, when
// durable, writes its checkpoint. When ctx ends first the server is ended at
// once; a durable directory then recovers at its next start. Stop again gives
// the same answer.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		if err := errors.Join(s.terminate(ctx), s.tidy()); err != nil {
			s.stopped = fmt.Errorf("localpg: stop: %w", err)
		}
	})
	return s.stopped
}

func (s *Server) terminate(ctx context.Context) error {
	select {
	case <-s.done:
		return s.ended()
	default:
	}
	if err := s.process.Signal(s.shutdown()); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		_ = s.process.Signal(syscall.SIGQUIT)
		s.wait(context.WithoutCancel(ctx), lastResort)
		return fmt.Errorf("ended at once: %w", ctx.Err())
	}
	if s.exit != nil && !s.throwaway {
		return s.ended()
	}
	return nil
}

// wait gives the process the time to end, then kills it.
func (s *Server) wait(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
		_ = s.process.Kill()
		<-s.done
	}
}

// tidy gives back what open took, once no process is left.
func (s *Server) tidy() error {
	var faults []error
	if s.lock != nil {
		// Closing alone is not enough: a child that another goroutine is just
		// starting holds a copy of the descriptor, and so the lock, until it execs.
		faults = append(faults, syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
	}
	if s.layout.socket != "" && s.layout.ownSocket() {
		faults = append(faults, os.RemoveAll(s.layout.socket))
	}
	if s.throwaway && s.layout.home != "" {
		faults = append(faults, os.RemoveAll(s.layout.home))
	}
	return errors.Join(append(faults, s.reaper.dismiss())...)
}
