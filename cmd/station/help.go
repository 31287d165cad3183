package main

import (
	"cmp"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpWidth is how many columns the text of --help takes at most: those of the narrowest
// terminal. A single word that is longer stays whole.
const helpWidth = 80

// wrapHelp lets a command and those below it tell their help within helpWidth columns.
func wrapHelp(root *cobra.Command) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		_, _ = io.WriteString(cmd.OutOrStdout(), helpOf(cmd))
	})
}

// helpOf is what --help says of a command.
func helpOf(cmd *cobra.Command) string {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			b.WriteString("\n" + title + "\n" + text + "\n")
		}
	}
	b.WriteString(reflow(cmp.Or(cmd.Long, cmd.Short)) + "\n")
	var lines strings.Builder
	if cmd.Runnable() {
		lines.WriteString(fold("  " + cmd.UseLine()))
	}
	if cmd.HasAvailableSubCommands() {
		lines.WriteString(fold("  " + cmd.CommandPath() + " [command]"))
	}
	section("Usage:", lines.String())
	section("Examples:", foldAll(cmd.Example))
	section("Available Commands:", commandList(cmd))
	section("Flags:", cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
	section("Global Flags:", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth))
	if cmd.HasAvailableSubCommands() {
		b.WriteString(wrap("\nUse \""+cmd.CommandPath()+" [command] --help\" for more information about a command.", "") + "\n")
	}
	return b.String()
}

// reflow wraps each paragraph anew; a line that begins with a blank stays as it is.
func reflow(text string) string {
	var lines, paragraph []string
	end := func() {
		if len(paragraph) > 0 {
			lines = append(lines, wrap(strings.Join(paragraph, " "), ""))
			paragraph = nil
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		end()
		lines = append(lines, line)
	}
	end()
	return strings.Join(lines, "\n")
}

// wrap breaks a line between words where it is too wide; what follows is indented.
func wrap(line, indent string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Split(line, " ") {
		wide := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case word != "" && width+1+wide > helpWidth:
			b.WriteString("\n" + indent)
			width = len(indent)
		default:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += wide
	}
	return b.String()
}

// commandList is a line for each command below cmd, or more where what it is for is long.
func commandList(cmd *cobra.Command) string {
	var b strings.Builder
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() && sub.Name() != "help" {
			continue
		}
		name := "  " + sub.Name() + strings.Repeat(" ", max(sub.NamePadding()-len(sub.Name()), 0)+1)
		b.WriteString(wrap(name+sub.Short, strings.Repeat(" ", len(name))) + "\n")
	}
	return b.String()
}

func foldAll(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(fold(strings.TrimRight(line, "\n")))
	}
	return b.String()
}

// fold breaks a command for a shell before its flags where it is too wide.
func fold(command string) string {
	var b strings.Builder
	rest := command
	for len(rest) > helpWidth {
		at := strings.LastIndex(rest[:helpWidth-1], " --") // a backslash follows
		if at <= len("      ") {
			if at = strings.Index(rest[len("      "):], " --") + len("      "); at < len("      ") {
				break
			}
		}
		b.WriteString(rest[:at] + " \\\n")
		rest = "      " + rest[at+1:]
	}
	return b.String() + rest + "\n"
}
