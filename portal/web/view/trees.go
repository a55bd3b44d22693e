package view

import (
	"fmt"
	"html/template"
	"maps"
	"regexp"
	text "text/template"
	"text/template/parse"
)

// trees are templates by name, as one or several files define them. They belong
// to no language yet, and html/template has not seen them.
type trees map[string]*parse.Tree

// parse reads one file. funcs are those of any language: only their names count.
func (o Options) parse(name string, funcs template.FuncMap) (trees, error) {
	src, err := o.read(name)
	if err != nil {
		return nil, err
	}
	t, err := text.New(name).Funcs(text.FuncMap(funcs)).Parse(src)
	if err != nil {
		return nil, fmt.Errorf("view: %s: %w", name, err)
	}
	all := trees{}
	for _, part := range t.Templates() {
		walk(part.Root, func(n parse.Node) {
			if n, ok := n.(*parse.TextNode); ok {
				n.Text = indent.ReplaceAll(n.Text, []byte("\n"))
			}
		})
		all[part.Name()] = part.Tree
	}
	return all, nil
}

var indent = regexp.MustCompile(`\n\s+`)

// under lays over on top of t. As in text/template, an empty definition takes
// nothing away.
func (t trees) under(over trees) trees {
	all := maps.Clone(t)
	for name, tree := range over {
		if all[name] == nil || !parse.IsEmptyTree(tree.Root) {
			all[name] = tree
		}
	}
	return all
}

// in makes the trees of one language.
func (t trees) in(w *words) (trees, error) {
	all := make(trees, len(t))
	for name, tree := range t {
		tree = tree.Copy()
		if err := w.fold(tree.Root); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[name] = tree
	}
	return all, nil
}

// template is root and what it calls, ready to be executed. It gets copies:
// html/template writes into a tree how it is escaped where it is called.
func (t trees) template(root string, funcs template.FuncMap) (*template.Template, error) {
	out := template.New("").Funcs(funcs)
	seen := map[string]bool{root: true}
	for wanted := []string{root}; len(wanted) > 0; wanted = wanted[1:] {
		tree := t[wanted[0]]
		if tree == nil {
			return nil, fmt.Errorf("no template %q is defined", wanted[0])
		}
		if _, err := out.AddParseTree(wanted[0], tree.Copy()); err != nil {
			return nil, err
		}
		walk(tree.Root, func(n parse.Node) {
			if call, ok := n.(*parse.TemplateNode); ok && !seen[call.Name] {
				seen[call.Name] = true
				wanted = append(wanted, call.Name)
			}
		})
	}
	return out.Lookup(root), nil
}

// walk visits the statements of a list, and those within them.
func walk(list *parse.ListNode, visit func(parse.Node)) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		visit(n)
		switch n := n.(type) {
		case *parse.IfNode:
			walk(n.List, visit)
			walk(n.ElseList, visit)
		case *parse.RangeNode:
			walk(n.List, visit)
			walk(n.ElseList, visit)
		case *parse.WithNode:
			walk(n.List, visit)
			walk(n.ElseList, visit)
		}
	}
}
