# completions.awk - print the completions for bash, zsh or fish, from the tables of the program's source
#
#   awk -v shell=bash -f src/dist/completions.awk src/cmd/option_table.h src/cmd/cli.c src/cmd/option_table.c \
#       src/base/refusal.c src/settings/changeset.c
#
# A table's row is "[NAME] = ...", in clang-format's layout. Nothing is run, so this works for a cross build too.

{ text = text " " $0 }

END {
	gsub(/[ \t]+/, " ", text)
	gsub(/" "/, "", text)                           # a string in several pieces
	read_tables()
	if (shell == "bash") bash()
	else if (shell == "zsh") zsh()
	else if (shell == "fish") fish()
	else fail("no such shell: " shell)
}

function fail(why) {
	print "completions.awk: " why >"/dev/stderr"
	exit 1
}

# --- the tables ---

# The next row of table PREFIX, from its name to the end of what BODY matches, is cut from rest.
function next_row(prefix, body) {
	if (!match(rest, "\\[" prefix "_[A-Z_0-9]+\\] = " body)) return 0
	row = substr(rest, RSTART, RLENGTH)
	rest = substr(rest, RSTART + RLENGTH)
	id = substr(row, 2, index(row, "]") - 2)
	split(row, part, "\"")
	return 1
}

# The words of a table, which is "[NAME] = TEXT" or "[NAME] = { TEXT, ...".
function words(prefix, start, skip,    list) {
	rest = text
	while (next_row(prefix, start "\"[^\"]*\"[^\"\\[]*"))
		if (!skip || row !~ skip) list = list (list ? " " : "") part[2]
	if (!list) fail("no table " prefix)
	return list
}

# The names of the commands in an expression like "IN_PRINT | 1u << COMMAND_PROBE".
function members(set,    names, n, i, list) {
	gsub(/[^A-Z_]+/, " ", set)
	n = split(set, names, " ")
	for (i = 1; i <= n; i++) {
		if (names[i] == "COMMAND_COUNT") return all
		if (names[i] in command) list = list (list ? " " : "") command[names[i]]
		else if (names[i] in sets) list = list (list ? " " : "") sets[names[i]]
		else if (names[i] != "OPTION_SERVER") fail("no such set of commands: " names[i])
	}
	return list
}

function read_tables(    name, expression) {
	rest = text
	while (next_row("COMMAND", "\\{ \"[^\"]*\", [a-z_]+, \"[^\"]*\"")) {
		command[id] = part[2]
		about[part[2]] = part[4]
		all = all (all ? " " : "") part[2]
	}
	rest = text
	while (match(rest, /IN_[A-Z]+ = [^,}]*/)) {
		expression = substr(rest, RSTART, RLENGTH)
		rest = substr(rest, RSTART + RLENGTH)
		name = expression
		sub(/ .*/, "", name)
		sub(/^[^=]*= /, "", expression)
		sets[name] = members(expression)
	}
	rest = text
	while (next_row("OPT", "\\{ \"[^}]*\\}")) read_option()
	if (!options || options != gsub(/[{,] OPT_[A-Z_0-9]+/, "&", text) - 1)        # less OPT_COUNT
		fail("not every option could be read")
	formats = words("FORMAT", "")
	states = words("EXPECT", "")
	groups = words("GROUP", "\\{ ", "GROUP_ALLOW")
	refusals = words("REFUSAL", "\\{ ", ", false,")
}

# "[OPT_USER] = { "user", 'u', "NAME", SET, TRAITS, "help", ..."; NULL for an option without an argument
function read_option(    with, set) {
	with = part[3] !~ /NULL/
	options++
	option[options] = part[2]
	letter[options] = match(part[3], /'.'/) ? substr(part[3], RSTART + 1, 1) : ""
	arg[options] = with ? part[4] : ""
	help[options] = part[with ? 6 : 4]
	set = part[with ? 5 : 3]
	sub(/^.*NULL/, "", set)
	sub(/^, /, "", set)
	sub(/,.*/, "", set)
	where[options] = members(set)
}

# What an option's argument is: "" for none.
function kind(i) {
	if (arg[i] == "FORMAT" || arg[i] == "STATE") return "word"
	if (arg[i] == "GROUP,..." || arg[i] == "NAME,...") return "list"
	if (arg[i] == "FILE" || arg[i] == "PIN") return "file"
	if (arg[i] == "DIR") return "folder"
	return arg[i] ? "other" : ""
}

function values(i) {
	if (arg[i] == "FORMAT") return formats
	if (arg[i] == "STATE") return states
	return arg[i] == "GROUP,..." ? groups : refusals
}

# --- what the shells need ---

# The options with this kind of argument, or with these values, each with its hyphens, and with "glue" between.
function those(wanted, of, glue,    i, list) {
	for (i = 1; i <= options; i++) {
		if (wanted == "any" ? !arg[i] : kind(i) != wanted || of && values(i) != of) continue
		list = list (list ? glue : "") (letter[i] ? "-" letter[i] glue : "") "--" option[i]
	}
	return list
}

# The same for the options of one command; "" is all commands.
function options_of(name, glue,    i, list) {
	for (i = 1; i <= options; i++)
		if (!name || index(" " where[i] " ", " " name " "))
			list = list (list ? glue : "") (letter[i] ? "-" letter[i] glue : "") "--" option[i]
	return list
}

function joined(list, glue) {
	gsub(/ /, glue, list)
	return list
}

function quoted(string) {
	gsub(/'/, "'\\''", string)
	return "'" string "'"
}

function bash(    n, name, i) {
	print "# bash completion for stalprep, made from its tables by src/dist/completions.awk\n"
	print "# Print the command among the words before the cursor, if it is there."
	print "_stalprep_command()\n{\n\tlocal i\n"
	print "\tfor ((i = 1; i < COMP_CWORD; i++)); do"
	print "\t\tcase ${COMP_WORDS[i - 1]} in\n\t\t= | : | " those("any", "", " | ") ") continue ;;\n\t\tesac"
	print "\t\tcase ${COMP_WORDS[i]} in\n\t\t" joined(all, " | ") ")"
	print "\t\t\techo \"${COMP_WORDS[i]}\"\n\t\t\treturn ;;\n\t\tesac\n\tdone\n}\n"
	print "# Offer words, each of a list with commas if $2 is that."
	print "_stalprep_words()\n{\n\tlocal before=\n"
	print "\tif [[ ${2-} == , ]]; then"
	print "\t\tbefore=${cur%\"${cur##*,}\"}\n\t\tcompopt -o nospace\n\tfi"
	print "\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$1\" -- \"${cur#\"$before\"}\")\n}\n"
	print "_stalprep()\n{"
	print "\tlocal cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command\n"
	print "\t[[ $cur != = ]] || cur="
	print "\t[[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}"
	print "\tcommand=$(_stalprep_command)"
	print "\tcase $before in"
	print "\t" those("word", formats, " | ") ") _stalprep_words \"" formats "\" ;;"
	print "\t" those("word", states, " | ") ") _stalprep_words \"" states "\" ;;"
	print "\t" those("list", groups, " | ") ") _stalprep_words \"" groups "\" , ;;"
	print "\t" those("list", refusals, " | ") ") _stalprep_words \"" refusals "\" , ;;"
	print "\t" those("file", "", " | ") ")\n\t\tcompopt -o filenames\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;"
	print "\t" those("folder", "", " | ") ")\n\t\tcompopt -o filenames\n\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;"
	print "\t" those("other", "", " | ") ") ;;"
	print "\t*)\n\t\tcase $command/$cur in"
	print "\t\t/-*) _stalprep_words \"" options_of("", " ") "\" ;;"
	print "\t\t/* | help/[!-]* | help/) _stalprep_words \"" all "\" ;;"
	n = split(all, name, " ")
	for (i = 1; i <= n; i++) print "\t\t" name[i] "/*) _stalprep_words \"" options_of(name[i], " ") "\" ;;"
	print "\t\tesac ;;\n\tesac\n}\n"
	print "complete -F _stalprep stalprep"
}

# An option's specification for zsh's _arguments.
function zsh_option(i,    both, said, name, what) {
	name = "--" option[i] (arg[i] ? "=" : "")
	said = help[i]
	gsub(/[]\[]/, "\\\\&", said)
	said = "[" said "]"
	if (arg[i]) {
		what = arg[i]
		gsub(/:/, "\\:", what)
		said = said ":" what ":" zsh_values(i)
		return (letter[i] ? "'*'{-" letter[i] "+," name "}" : "'*'" name) quoted(said)
	}
	both = letter[i] ? "'(-" letter[i] " --" option[i] ")'{-" letter[i] "," name "}" : name
	return both quoted(said)
}

function zsh_values(i) {
	if (kind(i) == "word") return "(" values(i) ")"
	if (kind(i) == "list") return "_sequence compadd - " values(i)
	if (kind(i) == "file") return "_files"
	if (kind(i) == "folder") return "_files -/"
	return " "
}

function zsh(    i, n, name) {
	n = split(all, name, " ")
	print "#compdef stalprep\n# zsh completion for stalprep, made from its tables by src/dist/completions.awk\n"
	print "_stalprep_commands() {\n\tlocal -a commands=("
	for (i = 1; i <= n; i++) print "\t\t" quoted(name[i] ":" about[name[i]])
	print "\t)\n\n\t_describe command commands\n}\n"
	print "local command= before= word second=\nlocal -a options\n"
	print "# The command, if it is there: the first word that is no option and no option's argument."
	print "for word in \"${(@)words[2,CURRENT-1]}\"; do"
	print "\tcase $before in\n\t(" those("any", "", "|") ") ;;"
	print "\t(*) [[ -n $command || $word == -* ]] || command=$word ;;\n\tesac\n\tbefore=$word\ndone"
	for (i = 1; i <= options; i++)
		print "[[ -n ${command:#(" joined(where[i], "|") ")} ]] ||\n\toptions+=(" zsh_option(i) ")"
	print "case $command in"
	print "(help) second='2: :_stalprep_commands' ;;\n(probe) second='2:HOST:_hosts' ;;\nesac"
	print "_arguments -s -S : $options '1: :_stalprep_commands' $second"
}

function fish_values(i) {
	if (kind(i) == "word") return " -x -a " quoted(values(i))
	if (kind(i) == "list") return " -x -a " quoted("(__stalprep_list " values(i) ")")
	if (kind(i) == "file") return " -r -F"
	if (kind(i) == "folder") return " -x -a '(__fish_complete_directories)'"
	return arg[i] ? " -x" : ""
}

# In single quotes fish knows \' and \\ only.
function fish_quoted(string) {
	gsub(/'/, "\\'", string)
	return "'" string "'"
}

function fish(    i, n, name) {
	n = split(all, name, " ")
	print "# fish completion for stalprep, made from its tables by src/dist/completions.awk\n"
	print "# Print the command, if it is there."
	print "function __stalprep_command\n\tset -l before"
	print "\tfor word in (commandline -opc)[2..]"
	print "\t\tif not contains -- \"$before\" " those("any", "", " ")
	print "\t\t\tand contains -- $word " all "\n\t\t\techo $word\n\t\t\treturn 0\n\t\tend"
	print "\t\tset before $word\n\tend\n\treturn 1\nend\n"
	print "# Is the command one of these? Before there is one, all are possible."
	print "function __stalprep_in\n\tset -l command (__stalprep_command)\n\tor return 0\n\tcontains -- $command $argv\nend\n"
	print "# A list with commas: offer each of these behind what is there."
	print "function __stalprep_list"
	print "\tset -l before (string replace -r '[^,=]*$' '' -- (commandline -ct) | string replace -r '^--[a-z-]+=' '')"
	print "\tprintf '%s\\n' \"$before\"$argv\nend\n"
	print "complete -c stalprep -f"
	for (i = 1; i <= n; i++)
		print "complete -c stalprep -n 'not __stalprep_command >/dev/null' -a " name[i] " -d " fish_quoted(about[name[i]])
	print "complete -c stalprep -n 'test \"$(__stalprep_command)\" = help' -a " quoted(all)
	print "complete -c stalprep -n 'test \"$(__stalprep_command)\" = probe' -a '(__fish_print_hostnames)'"
	for (i = 1; i <= options; i++)
		print "complete -c stalprep -n '__stalprep_in " where[i] "'" (letter[i] ? " -s " letter[i] : "") " -l " option[i] \
			fish_values(i) " -d " fish_quoted(help[i])
}
