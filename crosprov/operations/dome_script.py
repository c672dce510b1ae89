"""The shell of a change of Dome; how it goes on from anywhere is told in `operations.dome`."""

from __future__ import annotations

DOME_SCRIPT = r"""
want={version} db={database} phase={phase}
expected={expected}
has() {{ docker container inspect "$1" >/dev/null 2>&1; }}
image_of() {{ docker container inspect -f '{{{{.Image}}}}' "$1" 2>/dev/null; }}
status() {{ docker container inspect -f '{{{{.State.Status}}}}' "$1" 2>/dev/null; }}
say() {{ printf '%s\n' "$1" > "$phase.part" && mv -f "$phase.part" "$phase"; }}
differs() {{
  [ -f "$db" ] && observe "$repo" | expected=$expected awk -F '\t' '
    BEGIN {{ n = split(ENVIRON["expected"], line, "\n")
      for (i = 1; i <= n; i++) {{
        split(line[i], f, "\t"); shall[f[2]] = f[3]; must[f[2]] = f[1] }} }}
    {{ is[$1]; if ($1 in shall ? shall[$1] != $2 && $1 !~ / state$/ : $1 ~ / port /) bad = 1 }}
    END {{ for (key in shall) if (must[key] == "must" && !(key in is)) bad = 1; exit bad }}' &&
    return 1
  return 0
}}
each_old() {{ for n in {names}; do if has "$n{old}"; then "$1" "$n" || return; fi; done; }}
remove() {{ ! has "$1" || docker rm -fv "$1" >/dev/null; }} # -v: the volume of its /run too
remove_old() {{ docker rm -fv "$1{old}" >/dev/null; }}
rename_back() {{ remove "$1" && docker rename "$1{old}" "$1"; }}
start() {{
  for n in {names}; do
    case $(status "$n") in
      running) [ -z "$restart" ] || docker restart -t 30 "$n";;
      paused) docker unpause "$n";;
      restarting | dead) docker restart -t 30 "$n";;
      *) docker start "$n";;
    esac >/dev/null || return
  done
}}
put_aside() {{
  for n in {backwards}; do
    has "$n" || continue
    if has "$n{old}"; then docker rm -fv "$n" >/dev/null || return; continue; fi
    [ "$(status "$n")" != paused ] || docker unpause "$n" >/dev/null || return
    docker stop -t 30 "$n" >/dev/null && docker rename "$n" "$n{old}" || return
  done
}}
copy_database() {{ # before another image migrates it
  copy=-
  aside=$(image_of {uwsgi}{old}) || return 0
  [ -s "$db" ] && [ "$aside" != "$(id_of_image "$repo")" ] || return 0
  cp -p "$db" "$db.before-$want.part" && {{ sync "$db.before-$want.part" 2>/dev/null || :; }} &&
    mv -f "$db.before-$want.part" "$db.before-$want" && copy=$want
}}
names_back() {{ # with the database that they had
  if [ "$copy" != - ] && [ -e "$db.before-$copy" ]; then
    mv -f "$db.before-$copy" "$db" || return
  fi
  copy=-; say "back -" || return
  each_old rename_back
}}
image_back() {{ # that of the containers, and its script
  before=$(image_of {uwsgi}) && [ "$before" != "$(id_of_image "$repo")" ] || return 0
  docker tag "$before" "$repo" || return
  was=$(version_of_image "$before") part="$d/.cros_docker.sh.crosprov"
  [ -f "$k/$was/cros_docker.sh" ] || return 0
  cp "$k/$was/cros_docker.sh" "$part" && chmod 755 "$part" && mv -f "$part" "$d/cros_docker.sh"
}}
put() {{ # PROJECT JSON
  [ "$(curl -q -s --noproxy '*' -m 180 -o /dev/null -w '%{{http_code}}' -X PUT \
    -H 'Content-Type: application/json' --data-binary "$2" {url}"$1/")" = 200 ]
}}
umpires_back() {{ # `run` has made them of the newer image, and on the script's own shared folder
  new=$(id_of_image "$repo:$want") && [ "$new" != "$(image_of {uwsgi})" ] || return 0
  docker ps -a --filter name=umpire_ --format '{{{{.Names}}}}' | while read -r n; do
    [ "$(image_of "$n")" = "$new" ] || continue
    at=$(docker container inspect -f '{{{{range .Config.Env}}}}{{{{println .}}}}{{{{end}}}}' "$n" |
      sed -n 's/^UMPIRE_PROJECT_PORT=//p')
    put "${{n#umpire_}}" '{{"umpireEnabled": false}}' &&
      put "${{n#umpire_}}" "{{\"umpireEnabled\": true, \"umpirePort\": $at}}" ||
      echo "the container $n is still of version $want; apply again" >&2
  done
}}
failed() {{
  for n in {names}; do
    has "$n" || continue
    echo "the last lines of $n:"; docker logs --tail 10 "$n" 2>&1
  done >&2
  if has {uwsgi}{old} || has {nginx}{old}; then
    say "back $copy" && names_back && image_back && restart= && start && rm -f "$phase" "$out" &&
      {clear} && echo "the Dome that it was to replace runs again" >&2 && answers && umpires_back
  elif [ -n "$step" ]; then
    for n in {backwards}; do remove "$n"; done; rm -f "$phase"
  fi
  exit 1
}}
one_shots_over() {{ # containers of a `run` that was killed: never two migrations at a time
  docker ps -a --filter "volume=$db" --format '{{{{.Names}}}}' |
    grep -v -x {not_ours} | while read -r n; do
      if [ "$(status "$n")" = running ]; then
        progress "waits for the container $n"
        timeout 300 docker wait "$n" >/dev/null 2>&1 || :
      fi
      case $(status "$n") in
        running | paused) echo "the container $n still uses Dome's database" >&2; exit 1;;
        '') ;;
        *) docker rm -v "$n" >/dev/null 2>&1 || :;;
      esac
    done
}}
switch() {{
  if [ ! -e "$db" ] && was=$(elsewhere "$db") && [ -n "$was" ]; then
    echo "the factory server's data is in $was, and would stay behind; move it by hand" >&2
    return 1
  fi
  if [ "$step" = back ]; then names_back && rm -f "$phase" && step= || return; fi
  if [ "$step" = switched ]; then
    for n in {backwards}; do remove "$n" || return; done
  else
    put_aside && copy_database && step=switched && say "$step $copy" || return
  fi
  one_shots_over || return
  progress "runs Dome"
  with_progress scripted "$d/cros_docker.sh" run && return
  echo "the deployment script's run failed (status $?); its last lines:" >&2
  last_lines
  failed
}}
alone || exit
mkdir -p "${{phase%/*}}" && {leave} || exit
restart={restart} step= copy=-
[ ! -e "$phase" ] || read -r step copy < "$phase" || exit
if [ "$step" = back ] || differs; then switch || exit; else
  for n in {names}; do if stale "$n"; then restart=yes; fi; done
  start || failed
fi
progress "waits for Dome"
answers || failed
was=$(version_of_image "$(image_of {uwsgi}{old})")
case $was in *[!0-9a-f-]* | -* | *- | "$want") ;; *)
  printf '%s\n' "$was" > "$k/previous.part" && mv -f "$k/previous.part" "$k/previous" || exit
esac
each_old remove_old && rm -f "$phase" "$out" && {clear}"""
