package view

import (
	"fmt"
	"html"
	"text/template/parse"
)

// fold turns actions that are the same on every page of a language into plain
// text, before html/template sees them: {{t "start.title"}}, {{icon "go"}},
// {{asset "postern.css"}}, {{if brand "support"}}…. Their arguments are literals and
// their results come from our own files, so what is left to escape at request
// time is what requests bring. Results are escaped for HTML here, which is
// right in text and in quoted attributes, the only places they are used.
func (w *words) fold(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	var out folded
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			s, ok, err := w.constant(n.Pipe)
			if err != nil {
				return err
			}
			if ok {
				out.add(&parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(s)})
				continue
			}
		case *parse.IfNode:
			s, ok, err := w.constant(n.Pipe)
			if err != nil {
				return err
			}
			if ok {
				branch := n.List
				if s == "" {
					branch = n.ElseList
				}
				if err := w.fold(branch); err != nil {
					return err
				}
				if branch != nil {
					for _, n := range branch.Nodes {
						out.add(n)
					}
				}
				continue
			}
			if err := w.foldBoth(&n.BranchNode); err != nil {
				return err
			}
		case *parse.RangeNode:
			if err := w.foldBoth(&n.BranchNode); err != nil {
				return err
			}
		case *parse.WithNode:
			if err := w.foldBoth(&n.BranchNode); err != nil {
				return err
			}
		}
		out.add(n)
	}
	list.Nodes = out
	return nil
}

// folded are nodes in which text stands in one piece.
type folded []parse.Node

func (f *folded) add(n parse.Node) {
	if more, ok := n.(*parse.TextNode); ok && len(*f) > 0 {
		if last, ok := (*f)[len(*f)-1].(*parse.TextNode); ok {
			last.Text = append(last.Text, more.Text...)
			return
		}
	}
	*f = append(*f, n)
}

func (w *words) foldBoth(n *parse.BranchNode) error {
	if err := w.fold(n.List); err != nil {
		return err
	}
	return w.fold(n.ElseList)
}

// constant evaluates a pipeline of one call of a constant function with literal arguments.
func (w *words) constant(p *parse.PipeNode) (string, bool, error) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return "", false, nil
	}
	args := p.Cmds[0].Args
	name, ok := args[0].(*parse.IdentifierNode)
	if !ok {
		return "", false, nil
	}
	var literals []string
	for _, a := range args[1:] {
		s, ok := a.(*parse.StringNode)
		if !ok {
			return "", false, nil
		}
		literals = append(literals, s.Text)
	}
	switch {
	case name.Ident == "t" && len(literals) == 1:
		s, ok := w.bundle.Plain(w.lang.Tag, literals[0])
		if !ok {
			return "", false, fmt.Errorf("no sentence %q without arguments", literals[0])
		}
		return html.EscapeString(s), true, nil
	case name.Ident == "icon" && len(literals) > 0:
		return string(w.icon(literals[0], literals[1:]...)), true, nil
	case name.Ident == "asset" && len(literals) == 1:
		return html.EscapeString(w.asset(literals[0])), true, nil
	case name.Ident == "brand" && len(literals) == 1:
		return html.EscapeString(w.brand(literals[0])), true, nil
	case name.Ident == "lang" && len(literals) == 0:
		return w.lang.Tag, true, nil
	case name.Ident == "dir" && len(literals) == 0:
		return w.lang.Dir, true, nil
	}
	return "", false, nil
}
