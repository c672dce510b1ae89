"""Read shell code from left to right, as its grammar is (POSIX, section 2, and what bash adds)."""

from __future__ import annotations

import re

from crosprov.mirror.policy.shell_cursor import Cursor
from crosprov.mirror.policy.words import Command, Word

DEEPEST = 40  # substitutions within each other; what is nested deeper is passed over

_PLAIN = re.compile(r"[^\s;&|()<>'\"\\$`]+")
_SINGLE = re.compile(r"'[^']*(?:'|\Z)")
_ANSI = re.compile(r"\$'(?:[^'\\]|\\.)*(?:'|\Z)", re.DOTALL)
_IN_DOUBLE = re.compile(r"[^\"\\$`]+")
_IN_BRACES = re.compile(r"[^'\"\\$`{}]+")
_NAME = re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII)
_REDIRECT = re.compile(r"[0-9]*(?:<<<|<<-?|&>>|&>|>>|>\||>&|<&|<>|>|<)")
_OPENING = frozenset("if then elif else while until do ! time {".split())


class Reader(Cursor):
    """Read a text from left to right, and gather the commands that it holds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.commands: list[Command] = []
        self._end = ""

    def read_list(self, depth: int, end: str) -> None:
        """Read commands up to the closing `end`, which is taken as well."""
        text, last = self._text, len(self._text)
        command, cases = Command(), 0
        while self._at < last:
            self._skip_blanks()
            if self._at >= last:
                break
            char = text[self._at]
            if char == "#":
                self._skip_comment()
            elif end and char == end:
                self._at += 1
                break
            elif char == "\n":
                self._end_line()
                command = self._finish(command)
            elif redirect := _REDIRECT.match(text, self._at):
                self._read_redirect(command, redirect[0], depth)
            elif char in ";&|":
                closes_case = text.startswith((";;", ";&"), self._at)
                command = self._end_command(command)
                if closes_case and cases:
                    cases -= self._read_pattern(depth)
            elif char == "(":
                command = self._read_bracket(command, depth)
            elif char == ")":
                self._at += 1
                command = self._finish(command)
            else:
                opened = self._add_word(command, depth)
                if opened == "case":
                    command = self._finish(command)
                    cases += 1 - self._read_pattern(depth)
        self._finish(command)

    def _finish(self, command: Command) -> Command:
        if command.words or command.feeder:
            self.commands.append(command)
        return Command()

    def _end_command(self, command: Command) -> Command:
        """Take `;`, `&`, `&&`, `||`, `|` and their kin; a pipe feeds the next command."""
        text = self._text
        two = text[self._at : self._at + 2]
        piped = two[0] == "|" and two != "||"
        self._at += 2 if two in (";;", "&&", "||", "|&", ";&") else 1
        if two == ";;" and text.startswith("&", self._at):
            self._at += 1
        following = self._finish(command)
        if piped and command.words:
            following.feeder = command
            while self._at < len(text) and text[self._at] in " \t\r\n":
                self._at += 1
        return following

    def _add_word(self, command: Command, depth: int) -> str:
        """Read a word into the command; `case` says that the word was the `in` of one."""
        word = self._read_word(depth)
        words = command.words
        if not words and word.text in _OPENING:
            return ""
        if not words and word.text == "[[":
            self._skip_condition(depth)
            return ""
        if not words and word.text == "function":
            self._skip_blanks()
            self._read_word(depth)
            return ""
        words.append(word)
        return "case" if word.text == "in" and words[0].text == "case" and len(words) == 3 else ""

    def _read_bracket(self, command: Command, depth: int) -> Command:
        """Take `(`: of a function's definition, of arithmetic, of a pattern, or of a subshell."""
        text = self._text
        if command.words:
            closing = re.compile(r"\([ \t]*\)").match(text, self._at)
            self._at = closing.end() if closing else self._at + 1
            if closing:
                return Command()
            self._nest(depth, ")")
            return command
        if text.startswith("((", self._at):
            self._skip_arithmetic()
            return command
        self._at += 1
        begin = len(self.commands)
        self._nest(depth, ")")
        for inner in self.commands[begin:]:
            inner.feeder = inner.feeder or command.feeder
        return command

    def _nest(self, depth: int, end: str) -> None:
        if depth < DEEPEST:
            outer, self._end = self._end, end
            self.read_list(depth + 1, end)
            self._end = outer
        else:
            self._at = len(self._text)

    def _read_pattern(self, depth: int) -> int:
        """Pass over the pattern of a `case`; one when `esac` stands there instead, else none."""
        text, last, first = self._text, len(self._text), True
        while self._at < last:
            self._skip_blanks()
            char = text[self._at : self._at + 1]
            if char == "\n":
                self._end_line()
            elif char == "#":
                self._skip_comment()
            elif char == ")":
                self._at += 1
                return 0
            elif char and char in ";&|(<>":
                self._at += 1
            elif char:
                word = self._read_word(depth)
                if first and word.text == "esac":
                    return 1
                first = False
        return 1

    def _read_redirect(self, command: Command, operator: str, depth: int) -> None:
        """Take a redirection with its word; the body of a here-document comes after the line."""
        if operator in ("<", ">") and self._text.startswith("(", self._at + 1):
            line = self._lines.at(self._at)
            self._at += 2
            command.words.append(Word(f"{operator}(…)", line))
            self._nest(depth, ")")
            return
        self._at += len(operator)
        self._skip_blanks()
        if self._at < len(self._text) and self._text[self._at] not in "\n;&|()<>":
            word = self._read_word(depth)
            if operator.endswith(("<<", "<<-")) and not operator.endswith("<<<"):
                self._documents.append((word.plain, operator.endswith("-")))

    def _read_word(self, depth: int) -> Word:
        start = self._at
        line = self._lines.at(start)
        text, last = self._text, len(self._text)
        while self._at < last:
            found = _PLAIN.match(text, self._at)
            if found:
                self._at = found.end()
                continue
            char = text[self._at]
            if char == "(" and text[self._at - 1] == "=" and self._at > start:
                self._read_array(depth)
            elif char == "(" and self._at > start and text[self._at - 1] in "@!?*+":
                self._at += 1  # a pattern such as @(a|b); its inside is a word of its own
                self._skip_glob()
            elif char == "`" and self._end == "`":
                break
            elif char in "\\'\"$`":
                self._read_quoted(char, depth)
            else:
                break
        if self._at == start:
            self._at += 1
        return Word(text[start : self._at], line)

    def _read_quoted(self, char: str, depth: int) -> None:
        """Take one piece of a word that begins with a quote, a backslash or a dollar."""
        text = self._text
        if char == "\\":
            self._at = min(self._at + 2, len(text))
        elif char == "'":
            self._take(_SINGLE)
        elif depth >= DEEPEST:
            self._at += 1
        elif char == '"':
            self._read_double(depth + 1)
        elif char == "`":
            self._at += 1
            self._nest(depth, "`")
        elif text.startswith("$((", self._at):
            self._at += 1
            self._skip_arithmetic()
        elif text.startswith("$(", self._at):
            self._at += 2
            self._nest(depth, ")")
        elif text.startswith("${", self._at):
            self._read_braces(depth + 1)
        elif text.startswith("$'", self._at):
            self._take(_ANSI)
        elif _NAME.match(text, self._at):
            self._take(_NAME)
        else:
            self._at += 1

    def _read_double(self, depth: int) -> None:
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char in "\\$`":
                if self._text.startswith("$'", self._at):
                    self._at += 1
                else:
                    self._read_quoted(char, depth)
            else:
                self._take(_IN_DOUBLE)

    def _read_braces(self, depth: int) -> None:
        self._at += 2
        open_braces = 1
        while self._at < len(self._text) and open_braces:
            char = self._text[self._at]
            if char in "{}":
                open_braces += 1 if char == "{" else -1
                self._at += 1
            elif char in "\\'\"$`":
                self._read_quoted(char, depth)
            else:
                self._take(_IN_BRACES)

    def _read_array(self, depth: int) -> None:
        """Take the bracketed value of an array; what it substitutes is read as commands."""
        self._at += 1
        text = self._text
        while self._at < len(text):
            self._skip_blanks()
            char = text[self._at : self._at + 1]
            if char == ")":
                self._at += 1
                return
            if char == "#":
                self._skip_comment()
            elif char in "\n;&|(<>":
                self._at += 1
            else:
                self._read_word(depth)

    def _skip_condition(self, depth: int) -> None:
        """Pass over `[[ … ]]`, in which brackets, `<` and `&&` mean something else."""
        text = self._text
        while self._at < len(text):
            self._skip_blanks()
            char = text[self._at : self._at + 1]
            if char and char in "\n;&|()<>":
                self._at += 1
            elif char and self._read_word(depth).text == "]]":
                return
