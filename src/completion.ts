/** Completion scripts, read off the commands themselves: nouns, verbs and options. */
import type { Command } from 'commander';

interface Words {
  readonly path: string;
  readonly words: readonly string[];
}

function wordsOf(command: Command, path: string): Words[] {
  const options = command.options.flatMap((o) => (o.long === undefined ? [] : [o.long]));
  const own = { path, words: [...command.commands.map((c) => c.name()), ...options, '--help'] };
  return [own, ...command.commands.flatMap((c) => wordsOf(c, path === '' ? c.name() : `${path} ${c.name()}`))];
}

/** One `case` by the words typed so far; works in bash, and in zsh through bashcompinit. */
export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const cases = wordsOf(program, '').map(({ path, words }) => `    "${path}") words="${words.join(' ')}" ;;`);
  const script = `_beamway() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while :; do
    case "$path" in
${cases.join('\n')}
    esac
    [ -n "$words" ] || [ -z "$path" ] && break
    case "$path" in *" "*) path="\${path% *}" ;; *) path="" ;; esac
  done
  COMPREPLY=( $(compgen -W "$words" -- "$cur") )
}
complete -o default -F _beamway beamway ./beamway
`;
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}
