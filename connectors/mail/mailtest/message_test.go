package mailtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPartsAreDecoded(t *testing.T) {
	t.Parallel()
	const mixed = "Subject: =?iso-8859-1?q?=C9t=E9?=\nContent-Type: multipart/mixed; boundary=A\n\n" +
		"--A\nContent-Type: multipart/alternative; boundary=B\n\n" +
		"--B\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=89t=C3=A9 =3D=\n suite\n" +
		"--B\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPHA+w4l0w6k8L3A+\n--B--\n" +
		"--A\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=\"notice.pdf\"\n" +
		"Content-Transfer-Encoding: base64\n\nJVBERg==\n--A--\n"
	cases := map[string]struct {
		raw  string
		want Message
	}{
		"alternatives and an attachment": {mixed, Message{
			Subject: "Été", Text: "Été = suite", HTML: "<p>Été</p>",
			Attachments: []Attachment{{Name: "notice.pdf", ContentType: "application/pdf", Content: []byte("%PDF"), Size: 4}},
		}},
		"no content type is plain text": {"Subject: x\n\nbonjour", Message{Subject: "x", Text: "bonjour"}},
		"latin 1":                       {"Content-Type: text/plain; charset=ISO-8859-1\n\n\xc9t\xe9", Message{Text: "Été"}},
		"HTML alone":                    {"Content-Type: text/html\n\n<b>x</b>", Message{HTML: "<b>x</b>"}},
		"a text that is attached": {"Content-Type: text/plain\nContent-Disposition: attachment; filename=x.txt\n\nx", Message{
			Attachments: []Attachment{{Name: "x.txt", ContentType: "text/plain", Content: []byte("x"), Size: 1}},
		}},
		"bytes that are not UTF-8":  {"Content-Type: text/plain; charset=utf-8\n\n\xff", Message{Fault: `text/plain: the text is not in "utf-8"`}},
		"an unknown character set":  {"Content-Type: text/plain; charset=koi8-r\n\nx", Message{Fault: `text/plain: character set "koi8-r" is not read here`}},
		"a boundary without a part": {"Content-Type: multipart/mixed; boundary=A\n\nx", Message{Fault: "multipart: NextPart: EOF"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got Message
			got.parse([]byte(strings.ReplaceAll(c.raw, "\n", "\r\n")))
			got.Raw, got.Header = nil, nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMultipartsDoNotNestForEver(t *testing.T) {
	t.Parallel()
	raw := "Content-Type: multipart/mixed; boundary=xA\r\n\r\n"
	for i := range 20 {
		raw += strings.ReplaceAll("--x#\r\nContent-Type: multipart/mixed; boundary=x%\r\n\r\n", "x#", "x"+string(rune('A'+i)))
		raw = strings.ReplaceAll(raw, "x%", "x"+string(rune('A'+i+1)))
	}
	var got Message
	got.parse([]byte(raw))
	if got.Fault != "multiparts are nested too deep" {
		t.Errorf("%q", got.Fault)
	}
}

func FuzzParseKeepsEveryMail(f *testing.F) {
	f.Add([]byte(plainMail))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=A\r\n\r\n--A\r\n\r\nx\r\n--A--\r\n"))
	f.Add([]byte("Subject: =?utf-8?b?4pyT?=\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m Message
		m.parse(raw)
		if string(m.Raw) != string(raw) {
			t.Error("the mail is not kept as it came")
		}
		for _, s := range segments(m.Text) {
			if s.URL != "" && !strings.HasPrefix(s.URL, "http") {
				t.Errorf("a link to %q", s.URL)
			}
		}
	})
}
