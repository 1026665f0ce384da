package mail

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Bounce is what a delivery status notification says about one mail.
type Bounce struct {
	MessageID  string // of the mail, without angle brackets
	Action     string // failed, delayed, delivered, relayed or expanded (RFC 3464, 2.3.3)
	Status     string // enhanced code, "5.1.1" (RFC 3463)
	Permanent  bool   // failed with 5.x.x: never send there again
	Diagnostic string // the far server's words, without addresses
}

// ErrNotBounce: a message of another kind, such as an answer of a person.
var ErrNotBounce = errors.New("not a delivery status notification")

const (
	// MaxBounce bounds a report, in bytes.
	MaxBounce = 1 << 20
	// maxParts bounds the parts that are looked at: RFC 6522 has three.
	maxParts = 10
	// maxStatus bounds the machine-readable part and the original's headers.
	maxStatus = 64 << 10
)

// ParseBounce reads a report (RFC 6522 and 3464; RFC 6533 for addresses in
// UTF-8). Of several recipients the first that failed counts: the hub's mails
// have one.
func ParseBounce(report []byte) (Bounce, error) {
	if len(report) > MaxBounce {
		return Bounce{}, fmt.Errorf("bounce: more than %d bytes", MaxBounce)
	}
	message, err := mail.ReadMessage(bytes.NewReader(report))
	if err != nil {
		return Bounce{}, errors.New("bounce: not a mail")
	}
	media, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || media != "multipart/report" || !strings.EqualFold(params["report-type"], "delivery-status") || params["boundary"] == "" {
		return Bounce{}, ErrNotBounce
	}
	status, original, err := reportParts(message.Body, params["boundary"])
	if err != nil {
		return Bounce{}, err
	}
	if status == nil {
		return Bounce{}, fmt.Errorf("bounce: no machine-readable part: %w", ErrNotBounce)
	}
	bounce, err := readStatus(status)
	if err != nil {
		return Bounce{}, err
	}
	// Some relays leave the original out and answer it instead.
	for _, id := range []string{original, message.Header.Get("In-Reply-To"), message.Header.Get("References")} {
		if bounce.MessageID = cleanID(id); bounce.MessageID != "" {
			return bounce, nil
		}
	}
	return Bounce{}, errors.New("bounce: it does not say which mail it is about")
}

// reportParts finds the delivery status and the original's Message-ID.
func reportParts(body io.Reader, boundary string) (status []byte, original string, err error) {
	parts := multipart.NewReader(body, boundary)
	for range maxParts {
		part, err := parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a multipart that is cut short wraps io.EOF and is an error
			return status, original, nil
		}
		if err != nil {
			return nil, "", errors.New("bounce: its parts cannot be read")
		}
		media, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		content, err := io.ReadAll(io.LimitReader(decoded(part, part.Header.Get("Content-Transfer-Encoding")), maxStatus))
		if err != nil {
			return nil, "", errors.New("bounce: one of its parts cannot be decoded")
		}
		switch media {
		case "message/delivery-status", "message/global-delivery-status":
			if status == nil {
				status = content
			}
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			if original == "" {
				original = field(headerBlocks(content, 1), 0, "message-id")
			}
		}
	}
	return status, original, nil
}

func decoded(body io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body) // skips line ends
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// headerBlocks reads blocks of "Name: value" lines between empty lines, folded
// lines joined, names in lower case; the first of a name counts. Lines of another
// form are passed over: reports in the wild have them.
func headerBlocks(text []byte, most int) []map[string]string {
	var blocks []map[string]string
	var block map[string]string
	last := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxStatus+1)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" {
			if block != nil && len(blocks) == most {
				return blocks
			}
			block, last = nil, ""
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if last != "" {
				block[last] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" {
			last = ""
			continue
		}
		if block == nil {
			block = map[string]string{}
			blocks = append(blocks, block)
		}
		if last = name; hasKey(block, name) {
			last = ""
			continue
		}
		block[name] = strings.TrimSpace(value)
	}
	return blocks
}

func hasKey(block map[string]string, name string) bool {
	_, there := block[name]
	return there
}

func field(blocks []map[string]string, at int, name string) string {
	if at >= len(blocks) {
		return ""
	}
	return blocks[at][name]
}

var (
	enhanced = regexp.MustCompile(`\b([245])\.(\d{1,3})\.(\d{1,3})\b`)
	actions  = regexp.MustCompile(`^(failed|delayed|delivered|relayed|expanded)\b`)
)

// readStatus takes the first recipient that failed, else the first one.
func readStatus(content []byte) (Bounce, error) {
	var bounce Bounce
	for _, block := range headerBlocks(content, 100) {
		action := actions.FindString(strings.ToLower(block["action"]))
		if action == "" || (bounce.Action != "" && action != "failed") {
			continue
		}
		diagnostic := block["diagnostic-code"]
		if kind, words, ok := strings.Cut(diagnostic, ";"); ok && !strings.ContainsAny(kind, " <>@") {
			diagnostic = strings.TrimSpace(words)
		}
		status := cmp.Or(enhanced.FindString(block["status"]), enhanced.FindString(diagnostic))
		bounce = Bounce{
			Action: action, Status: status, Diagnostic: outbound.Redact(diagnostic),
			Permanent: action == "failed" && strings.HasPrefix(status, "5"),
		}
		if action == "failed" {
			return bounce, nil
		}
	}
	if bounce.Action == "" {
		return Bounce{}, errors.New("bounce: it says nothing about a recipient")
	}
	return bounce, nil
}

// cleanID gives a Message-ID without its brackets; "" for anything else. Of a
// list of references the last one counts.
func cleanID(text string) string {
	ids := strings.Fields(text)
	if len(ids) == 0 {
		return ""
	}
	id := strings.TrimSuffix(strings.TrimPrefix(ids[len(ids)-1], "<"), ">")
	if !messageID.MatchString(id) {
		return ""
	}
	return id
}
