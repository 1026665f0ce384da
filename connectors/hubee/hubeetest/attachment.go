package hubeetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Texts about files (hubee.md, 4 and HS-5; the last is inferred as the second).
const (
	sizeMismatch   = "Size does not match with attachment meta-data"
	mimeMismatch   = "Mime type does not match with attachment meta-data"
	digestMismatch = "Digest does not match with attachment meta-data"
	noMetadata     = "Binary meta-data is not found"
)

// addAttachment needs the lock.
func (s *Server) addAttachment(in attachmentBody) *attachment {
	a := &attachment{
		id: firstOf(in.ID, s.opts.NewID), fileName: in.FileName, kind: in.Type, mimeType: in.MimeType, size: in.Size, status: Pending,
	}
	s.attachments[a.id] = a
	return a
}

func find(list []*attachment, id string) *attachment {
	for _, a := range list {
		if a.id == id {
			return a
		}
	}
	return nil
}

func (s *Server) putFolderAttachment(c *call) (answer, *refusal) {
	f, refused := s.folderOf(c)
	if refused != nil {
		if refused.status == http.StatusNotFound {
			refused = refuse(http.StatusNotFound, noMetadata)
		}
		return answer{}, refused
	}
	a := find(f.attachments, c.param("attachmentId"))
	if a == nil || a.status == Deleted {
		return answer{}, refuse(http.StatusNotFound, noMetadata)
	}
	// A file that was refused may be sent again; one that the SI may have read may not.
	if a.status == Received && f.status != HubeeReceived {
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	return answer{}, s.store(a, c.body, c.digest)
}

// store checks the content against its metadata and keeps it; the antivirus
// comes after. It needs the lock.
func (s *Server) store(a *attachment, content []byte, digest string) *refusal {
	a.uploads++
	sum := sha256.Sum256(content)
	got := base64.StdEncoding.EncodeToString(sum[:])
	mismatch := ""
	switch {
	case int64(len(content)) != a.size:
		mismatch = sizeMismatch
	case !fits(content, a.mimeType):
		mismatch = mimeMismatch
	case digest != "" && digest != got:
		mismatch = digestMismatch
	}
	if mismatch != "" {
		a.status, a.content, a.digest = Rejected, nil, ""
		return refuse(http.StatusBadRequest, mismatch)
	}
	a.status, a.digest = Received, got
	a.content = content
	if content == nil {
		a.content = []byte{}
	}
	if infected(content) {
		upload := a.uploads
		s.plan(s.Now().Add(time.Duration(s.switches.AntivirusAfter)), func() {
			if a.uploads == upload && a.status == Received {
				a.judge(Corrupted)
			}
		})
		s.settle()
	}
	return nil
}

// judge is the antivirus's word, or that of a test. A file that is not good is
// not kept.
func (a *attachment) judge(status FileStatus) {
	a.status = status
	if status != Received {
		a.content, a.digest = nil, ""
	}
}

// infected looks for the EICAR test file, which every antivirus refuses. It is
// written in two parts so that this source is not refused too.
func infected(content []byte) bool {
	return bytes.Contains(content, []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}`+`$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`))
}

// fits compares what the content looks like with the type that was announced. A
// type that no first bytes tell is believed, unless they tell another.
func fits(content []byte, mimeType string) bool {
	wanted, _, err := mime.ParseMediaType(mimeType)
	if err != nil {
		return false
	}
	switch wanted {
	case "application/octet-stream":
		return true
	case "application/json":
		return json.Valid(content)
	case "application/xml", "text/xml":
		return wellFormed(content)
	}
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(content))
	if sniffed == wanted {
		return true
	}
	switch sniffed {
	case "text/plain", "application/octet-stream":
		told := wanted == "application/pdf" || strings.HasPrefix(wanted, "image/") || wanted == "application/zip" || wanted == "text/html"
		return !told && (sniffed == "text/plain" || !strings.HasPrefix(wanted, "text/"))
	case "application/zip": // office documents are archives
		return strings.HasPrefix(wanted, "application/vnd.")
	default:
		return false
	}
}

func wellFormed(content []byte) bool {
	decoder := xml.NewDecoder(bytes.NewReader(content))
	for elements := 0; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements > 0
		}
		if err != nil {
			return false
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
}

// download answers the content with its digest, or the 404 text of its route.
func download(a *attachment, missing string) (answer, *refusal) {
	if a == nil || a.status != Received {
		return answer{}, refuse(http.StatusNotFound, missing)
	}
	return answer{file: a.content, header: http.Header{
		"Content-Type": {"application/octet-stream"}, "Digest": {a.digest},
	}}, nil
}
