#!/bin/sh
# Says what the command `penstock` is made of, as CycloneDX 1.6 on standard output: every crate that is compiled for it with
# these features on this machine's platform, its licence, its SHA-256 and what it uses. The image is built with it, so it needs
# no more than cargo and awk. The same sources give the same bytes: there is no time and no random number in it, and no path.
#
# Other tools read `cargo metadata`, which also has what features that are off, and tests, would pull in (SQLite and MySQL, for
# example); `cargo tree` answers from what the build itself takes. A scope "excluded" is CycloneDX's word for what runs at build
# time only. What C code a crate carries along is part of that crate here.
set -eu
cd "$(dirname "$0")/.."

tree() {
  cargo tree --locked --quiet --package penstock "$@"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree --edges normal,no-proc-macro --prefix none --format '{p}' >"$work/linked"
tree --edges normal,build --prefix depth --format '|{p}|{l}' >"$work/tree"
rustc -vV >"$work/rustc"

awk '
  # The name and version of a package as `cargo tree` prints it: "name v1.2.3 (proc-macro) (/its/folder)".
  function named(package, words) {
    split(package, words, " ")
    return words[1] "@" substr(words[2], 2)
  }
  function quoted(text) {
    gsub(/[\\"]/, "\\\\&", text)
    return "\"" text "\""
  }
  function component(id, kind, type, parts, version, url) {
    split(id, parts, "@")
    version = parts[2]
    printf "{\"type\": \"%s\", \"bom-ref\": %s, \"name\": %s, \"version\": %s", type, quoted(id), quoted(parts[1]), quoted(version)
    if (kind != "") printf ", \"scope\": \"%s\"", kind
    if (id in checksum) printf ", \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"%s\"}]", checksum[id]
    printf ", \"licenses\": [{\"expression\": %s}]", quoted(licence[id])
    # Our own are in no registry, where another could have the name.
    gsub(/\+/, "%2B", version)
    if (id in checksum) printf ", \"purl\": \"pkg:cargo/%s@%s\"", parts[1], version
    printf "}"
  }

  FILENAME ~ /Cargo.lock$/ {
    gsub(/"/, "", $3)
    if ($1 == "name") name = $3
    if ($1 == "version") id = name "@" $3
    if ($1 == "checksum") checksum[id] = $3
    next
  }
  FILENAME ~ /linked$/ { if (NF) linked[named($0)] = 1; next }
  FILENAME ~ /rustc$/ { if ($1 == "release:") rust = $2; if ($1 == "host:") host = $2; next }
  NF {
    split($0, field, "|")
    depth = field[1]
    id = named(field[2])
    sub(/ \(\*\)$/, "", field[3])
    # How crates wrote it before SPDX.
    gsub(/ *\/ */, " OR ", field[3])
    if (field[3] == "") { print "deploy/sbom.sh: " id " names no licence" > "/dev/stderr"; exit 1 }
    if (!(id in licence)) order[++count] = id
    licence[id] = field[3]
    above[depth] = id
    if (depth > 0 && !((above[depth - 1], id) in edge)) {
      edge[above[depth - 1], id] = 1
      uses[above[depth - 1]] = uses[above[depth - 1]] (uses[above[depth - 1]] ? ", " : "") quoted(id)
    }
  }

  END {
    if (!count || !rust || !host) { print "deploy/sbom.sh: cargo or rustc said nothing that it understands" > "/dev/stderr"; exit 1 }
    std = "rust-std@" rust
    licence[std] = "MIT OR Apache-2.0"
    print "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\", \"version\": 1,"
    printf "\"metadata\": {\"component\": "
    component(order[1], "", "application")
    printf ",\n\"properties\": [{\"name\": \"penstock:target\", \"value\": %s}]},\n\"components\": [\n", quoted(host)
    component(std, "required", "library")
    for (i = 2; i <= count; i++) {
      print ","
      component(order[i], order[i] in linked ? "required" : "excluded", "library")
    }
    print "],\n\"dependencies\": ["
    for (i = 1; i <= count; i++)
      printf "{\"ref\": %s, \"dependsOn\": [%s]}%s\n", quoted(order[i]), (i == 1 ? quoted(std) ", " : "") uses[order[i]], i < count ? "," : ""
    print "]}"
  }
' Cargo.lock "$work/linked" "$work/rustc" "$work/tree"
