#!/bin/bash
# Whether the role in this container says that it can do its job now: `penstock-ready <admin port>`. The image has
# no HTTP client, and bash can open a connection by itself.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${1:?the admin port of the role}"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
