set -eu
rsync --archive --delete /data/ "/backup/$(date +%A)/"
