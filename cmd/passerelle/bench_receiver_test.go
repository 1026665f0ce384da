package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
)

// asReceiver makes this test binary a receiver of webhooks in a process of its
// own, so that its work is not taken for the hub's. Its value is how many
// addresses it has.
const asReceiver = "PASSERELLE_TEST_AS_RECEIVER"

// receiverProcess is the receiver's side: it counts, notes when each id came
// first, and tells on a control address.
func receiverProcess(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	r, err := webhooktest.New(webhooktest.Options{Dialect: webhooktest.WithoutChecking})
	if err != nil {
		return err
	}
	defer r.Close()
	var mu sync.Mutex
	first := map[string]int64{}
	r.OnArrival(func(h http.Header, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		if id := h.Get("Webhook-Id"); first[id] == 0 {
			first[id] = at.UnixNano()
		}
	})
	r.Lean(true)
	urls := make([]string, n)
	for i := range urls {
		if urls[i], err = r.Start("127.0.0.1:0"); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /take", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		taken := first
		first = map[string]int64{}
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(taken)
	})
	mux.HandleFunc("POST /listen", func(w http.ResponseWriter, req *http.Request) {
		if _, err := r.Start(req.URL.Query().Get("at")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"urls": urls, "control": "http://" + l.Addr().String()}); err != nil {
		return err
	}
	return http.Serve(l, mux)
}

// benchReceiver is that process as the bench sees it.
type benchReceiver struct {
	URLs    []string `json:"urls"`
	Control string   `json:"control"`
}

func startReceiver(t *testing.T, addresses int) benchReceiver {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asReceiver+"="+strconv.Itoa(addresses))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r benchReceiver
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// take gives when each message came first since the last call.
func (r benchReceiver) take(t *testing.T) map[string]time.Time {
	t.Helper()
	resp, err := http.Post(r.Control+"/take", "", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw map[string]int64
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	taken := make(map[string]time.Time, len(raw))
	for id, at := range raw {
		taken[id] = time.Unix(0, at)
	}
	return taken
}

// listen has the receiver answer at one more address.
func (r benchReceiver) listen(t *testing.T, address string) {
	t.Helper()
	resp, err := http.Post(r.Control+"/listen?at="+address, "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the receiver does not listen at %s: %d", address, resp.StatusCode)
	}
}

// processCPU is the processor time of a process and of its children that run or
// have ended.
func processCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	total := statTicks(t, pid)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range strings.Fields(string(children)) {
		id, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		total += statTicks(t, id)
	}
	return time.Duration(total) * time.Second / 100 // USER_HZ
}

func statTicks(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended, and is counted by its parent
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	var total int64
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// ownCPU is the processor time of this process.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMemory of this process, in MiB.
func residentMemory(t *testing.T) float64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// loadAverage says what else the machine does.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Join(strings.Fields(string(raw))[:3], " ")
}
