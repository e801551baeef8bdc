#!/bin/sh
# Debian's changelog of a version, on standard output: its date is that of the entry in CHANGELOG.md.
set -eu
version=$1
maintainer=$(sed -n 's/^Maintainer: //p' docs/debian/control)
date=$(sed -n "s/^## $version (\(.*\))$/\1/p" CHANGELOG.md)
if [ -z "$date" ]; then
    echo "no entry '## $version (YEAR-MONTH-DAY)' in CHANGELOG.md" >&2
    exit 1
fi
cat <<END
closewait ($version-1) unstable; urgency=medium

  * Version $version: what is new is in changelog.gz, beside this file.

 -- $maintainer  $(LC_ALL=C date -u -R -d "$date")
END
