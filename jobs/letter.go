package jobs

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed letters/*.txt
var letterFiles embed.FS

var letters = template.Must(template.New("").Option("missingkey=error").ParseFS(letterFiles, "letters/*.txt"))

// letter is a mail's subject and text. The first line of a template is the
// subject, the rest behind a blank line the text.
type letter struct{ Subject, Text string }

func renderLetter(name string, params map[string]string) (letter, error) {
	var out bytes.Buffer
	if err := letters.ExecuteTemplate(&out, name+".txt", params); err != nil {
		return letter{}, fmt.Errorf("letter %s is not rendered: a parameter is missing", name)
	}
	subject, text, ok := strings.Cut(out.String(), "\n\n")
	if !ok {
		return letter{}, fmt.Errorf("letter %s has no subject line", name)
	}
	return letter{Subject: strings.Join(strings.Fields(subject), " "), Text: text}, nil
}
