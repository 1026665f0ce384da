package config

import (
	_ "embed"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed example.yml
var example []byte

// Example gives a settings file that holds and explains every setting. It loads
// as it is; its secrets are refused outside a sandbox.
func Example() []byte { return append([]byte(nil), example...) }

// explanations gives what the example says of each setting, by key, elements of
// lists written "[]".
func explanations() map[string]string {
	var document yaml.Node
	if err := yaml.Unmarshal(example, &document); err != nil {
		panic("config: the embedded example is not YAML: " + err.Error())
	}
	texts := map[string]string{}
	explain(document.Content[0], "", texts)
	return texts
}

func explain(n *yaml.Node, key string, texts map[string]string) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		name := join(key, n.Content[i].Value)
		if text := lastParagraph(n.Content[i].HeadComment); text != "" {
			texts[name] = text
		}
		explain(n.Content[i+1], name, texts)
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if item.Kind == yaml.MappingNode {
				// The parser gives the element what stands above its first setting.
				texts[join(key+"[]", item.Content[0].Value)] = lastParagraph(item.HeadComment)
			}
			explain(item, key+"[]", texts)
		}
	}
}

// exampleMark ends the explanation of a setting whose value here is not the default.
const exampleMark = " (example)"

// lastParagraph gives the part of a comment that is about what follows it.
func lastParagraph(comment string) string {
	parts := strings.Split(comment, "\n\n")
	return parts[len(parts)-1]
}
