package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// load is what clients saw during one stretch of time.
type load struct {
	rate      float64         // done a second
	latencies []time.Duration // sorted
	cpu       share
}

// share is processor time: of the hub, of the clients, of everything else on
// the machine (Postgres first).
type share struct{ hub, clients, rest time.Duration }

func (s share) plus(o share) share {
	return share{s.hub + o.hub, s.clients + o.clients, s.rest + o.rest}
}

func (s share) String() string {
	all := float64(s.hub + s.clients + s.rest)
	if all == 0 {
		return ""
	}
	percent := func(d time.Duration) float64 { return 100 * float64(d) / all }
	return fmt.Sprintf("%.0f, %.0f, %.0f %%", percent(s.hub), percent(s.clients), percent(s.rest))
}

// connection is one client: it writes a request and reads its answer. It does
// without http.Client, which costs as much as the hub's own server.
type connection struct {
	net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
	body bytes.Buffer
}

func dial(address string) (*connection, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 16<<10)}, nil
}

// send gives the body of an answer of 2xx; it is good until the next call.
func (c *connection) send(method, path, header string, body []byte) ([]byte, error) {
	c.out.Reset()
	for _, part := range []string{method, " ", path, " HTTP/1.1\r\nHost: hub\r\n", header} {
		c.out.WriteString(part)
	}
	if body != nil {
		fmt.Fprintf(&c.out, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	c.out.WriteString("\r\n")
	c.out.Write(body)
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(c.out.Bytes()); err != nil {
		return nil, err
	}
	status, err := c.receive()
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, c.body.Bytes())
	}
	return c.body.Bytes(), err
}

// receive reads one answer, its body into c.body.
func (c *connection) receive() (status int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200\r\n") {
		return 0, fmt.Errorf("no status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, chunked := int64(0), false
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if !found {
			break
		}
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length = number(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	c.body.Reset()
	if !chunked {
		_, err = io.CopyN(&c.body, c.in, length)
		return status, err
	}
	if _, err = c.body.ReadFrom(httputil.NewChunkedReader(c.in)); err != nil {
		return 0, err
	}
	_, err = c.in.ReadSlice('\n') // what ends the trailer
	return status, err
}

// serveProcess runs `serve` in a process of its own, as production does: what
// the clients of a bench keep in memory is no work for its collector. Its log
// goes to a file.
func serveProcess(t *testing.T, w *world, log string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	program := exec.Command(self, append([]string{"serve", "--config", w.settings}, args...)...)
	program.Env = append(os.Environ(), asHub+"=1")
	program.Stdout, program.Stderr = out, out
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.awaitReady(t.Context()); err != nil {
		raw, _ := os.ReadFile(log)
		t.Fatalf("%v\n%s", err, raw[max(0, len(raw)-4000):])
	}
	return program
}

// stopProcess ends it as an operator would; nil is none.
func stopProcess(program *exec.Cmd) {
	if program != nil {
		_ = program.Process.Signal(syscall.SIGTERM)
		_ = program.Wait()
	}
}

// run lets every client do its work again and again, for a time. With a rate
// (work a second, of all clients together) each begins when its turn comes, or
// as soon after as the client is free; the wait counts as latency.
func (b *requestsBench) run(lasts time.Duration, rate float64, work func(client int, c *connection) error, address string) load {
	b.t.Helper()
	connections := make([]*connection, benchClients)
	for i := range connections {
		var err error
		if connections[i], err = dial(address); err != nil {
			b.t.Fatal(err)
		}
		defer connections[i].Close()
	}
	pid := b.program.Process.Pid
	if address == strings.TrimPrefix(b.bareURL, "http://") {
		pid = b.bareProg.Process.Pid
	}
	seen := make([][]time.Duration, benchClients)
	before, start := b.processor(pid), time.Now()
	var all sync.WaitGroup
	for i, c := range connections {
		all.Go(func() {
			began := start
			for n := 0; ; n++ {
				if rate > 0 {
					began = start.Add(time.Duration(float64(n*benchClients+i) / rate * float64(time.Second)))
					time.Sleep(time.Until(began))
				}
				if began.Sub(start) >= lasts {
					return
				}
				if err := work(i, c); err != nil {
					b.t.Error(err)
					return
				}
				now := time.Now()
				seen[i] = append(seen[i], now.Sub(began))
				began = now
			}
		})
	}
	all.Wait()
	took, after := time.Since(start), b.processor(pid)
	l := load{latencies: slices.Concat(seen...), cpu: share{after.hub - before.hub, after.clients - before.clients, after.rest - before.rest}}
	slices.Sort(l.latencies)
	l.rate = float64(len(l.latencies)) / took.Seconds()
	return l
}

// processor reads the time used so far.
func (b *requestsBench) processor(pid int) share {
	b.t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.t.Fatal(err)
	}
	s := share{clients: time.Duration(used.Utime.Nano() + used.Stime.Nano())}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	machine, merr := os.ReadFile("/proc/stat")
	if err != nil || merr != nil {
		return s // not on Linux
	}
	_, fields, _ := strings.Cut(string(stat), ") ") // the name before may hold spaces
	if f := strings.Fields(fields); len(f) > 12 {
		s.hub = time.Duration(number(f[11])+number(f[12])) * tick
	}
	line, _, _ := strings.Cut(string(machine), "\n")
	var busy int64
	for i, v := range strings.Fields(line)[1:] {
		if i != 3 && i != 4 && i < 8 { // idle, waiting for disks; guests are counted in user
			busy += number(v)
		}
	}
	s.rest = time.Duration(busy)*tick - s.hub - s.clients
	return s
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// peakMemory is the most that a process held at any time (VmHWM), as the kernel
// kept it.
func peakMemory(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	line, _, _ := strings.Cut(rest, "kB")
	return fmt.Sprintf("%d MB", number(strings.TrimSpace(line))/1024)
}

// asBare makes this test binary the least program that answers from the
// database: "<address> <database>".
const asBare = "PASSERELLE_TEST_AS_BARE"

// bareProcess serves one indexed select, with as many connections as the hub.
func bareProcess(arguments string) error {
	address, database, _ := strings.Cut(arguments, " ")
	c, err := pgxpool.ParseConfig(database)
	if err != nil {
		return err
	}
	c.MaxConns = 16 // database.max_conns, unless set
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var data []byte
		id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/"), 10, 64)
		if err == nil {
			err = pool.QueryRow(r.Context(), `select data from request where id = $1`, id).Scan(&data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	})}
	return server.ListenAndServe()
}

func (b *requestsBench) startBare() {
	b.t.Helper()
	self, err := os.Executable()
	address, aerr := freeAddress()
	if err = errors.Join(err, aerr); err != nil {
		b.t.Fatal(err)
	}
	b.bareURL = "http://" + address
	b.bareProg = exec.Command(self)
	b.bareProg.Env = append(os.Environ(), asBare+"="+address+" "+b.pg.URL("postgres"))
	b.bareProg.Stderr = os.Stderr
	b.bareProg.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.bareProg.Start(); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), stepLimit)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) {
		c, err := dial(address)
		if err == nil {
			err = c.Close()
		}
		return nil, err
	}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *requestsBench) stopBare() {
	_ = b.bareProg.Process.Kill()
	_ = b.bareProg.Wait()
}
