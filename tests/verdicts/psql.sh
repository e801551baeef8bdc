#!/bin/sh
# psql at its prompt: one query, a hold, another query.
end listening
printf '%s\n' 'select 1;' '\! end hold' 'select 2;' |
    psql -X 'host=127.0.0.1 port=7070 user=a sslmode=disable gssencmode=disable'
