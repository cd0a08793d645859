echo "Hello, ${1:-nobody}, from $(uname -s)."
