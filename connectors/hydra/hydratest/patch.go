package hydratest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// errPatch is any fault of a patch: Hydra does not say which.
var errPatch = errors.New("hydratest: the patch cannot be applied")

type patchOperation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// applyPatch applies a JSON Patch (RFC 6902) as Hydra does: add, remove and
// replace only; a replace of what is not there adds it; missing parents are made.
func applyPatch(patch []byte, c *Client) error {
	var operations []patchOperation
	if err := json.Unmarshal(patch, &operations); err != nil {
		return errPatch
	}
	text, err := json.Marshal(c)
	if err != nil {
		return errPatch
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return errPatch
	}
	for _, op := range operations {
		if document, err = op.apply(document); err != nil {
			return err
		}
	}
	if text, err = json.Marshal(document); err != nil {
		return errPatch
	}
	// Into the client as it was: a field that the patch removed keeps its value.
	if err := json.Unmarshal(text, c); err != nil {
		return errPatch
	}
	return nil
}

func (op patchOperation) apply(document any) (any, error) {
	if !strings.HasPrefix(op.Path, "/") || op.Path == "/id" {
		return nil, errPatch
	}
	var value any
	switch op.Op {
	case "add", "replace":
		// Without a value it is null.
		if len(op.Value) > 0 && json.Unmarshal(op.Value, &value) != nil {
			return nil, errPatch
		}
	case "remove":
	default:
		return nil, errPatch
	}
	steps := strings.Split(op.Path[1:], "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return op.change(document, steps, value)
}

// change gives the node with the operation done below it.
func (op patchOperation) change(node any, steps []string, value any) (any, error) {
	name, last := steps[0], len(steps) == 1
	switch node := node.(type) {
	case map[string]any:
		child, present := node[name]
		switch {
		case last && op.Op == "remove":
			if !present {
				return nil, errPatch
			}
			delete(node, name)
			return node, nil
		case last:
			node[name] = value
			return node, nil
		case child == nil && op.Op == "remove":
			return nil, errPatch
		case child == nil:
			child = map[string]any{}
		}
		changed, err := op.change(child, steps[1:], value)
		if err != nil {
			return nil, err
		}
		node[name] = changed
		return node, nil
	case []any:
		return op.changeList(node, steps, value)
	default:
		return nil, errPatch
	}
}

func (op patchOperation) changeList(list []any, steps []string, value any) (any, error) {
	name, last := steps[0], len(steps) == 1
	if name == "-" && last && op.Op == "add" {
		return append(list, value), nil
	}
	at, err := strconv.Atoi(name)
	if err != nil || at < 0 || at > len(list) || at == len(list) && (op.Op != "add" || !last) {
		return nil, errPatch
	}
	switch {
	case !last:
		list[at], err = op.change(list[at], steps[1:], value)
		return list, err
	case op.Op == "remove":
		return append(list[:at:at], list[at+1:]...), nil
	case op.Op == "add":
		return append(list[:at:at], append([]any{value}, list[at:]...)...), nil
	default:
		list[at] = value
		return list, nil
	}
}
