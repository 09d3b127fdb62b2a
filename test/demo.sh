#!/bin/sh
# demo.sh - show the main job with a simulated older server; "./build.sh demo" runs it with $STALPREP, the binary
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export STALPREP_PASSWORD=demo-password-of-no-server
server=
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

die() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }

show() {
	printf '\n$ stalprep %s\n' "$*"
	"$STALPREP" "$@"
}

# Print all settings as the API lists them, sorted, one a line.
settings() {
	python3 - "$http_url" <<-'END'
	import base64, json, os, sys, urllib.request
	login = base64.b64encode(b"admin:" + os.environb[b"STALPREP_PASSWORD"]).decode()
	request = urllib.request.Request(sys.argv[1] + "/api/settings/list", headers={"Authorization": "Basic " + login})
	opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
	items = json.load(opener.open(request, timeout=10))["data"]["items"]
	print("\n".join(f"{key} = {value}" for key, value in sorted(items.items())))
	END
}

ready() { python3 -c 'import json, sys; print(json.load(open("ready"))[sys.argv[1]])' "$1"; }

echo "A simulated older server (0.15.5), with a self-signed certificate:"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=old.example.org" \
	-keyout key.pem -out cert.pem 2>openssl.log || { cat openssl.log >&2; die "openssl made no certificate"; }
pin=sha256//$(openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
	openssl base64)
python3 "$here/oldserver.py" --version 0.15.5 --folder server --tls-cert cert.pem --tls-key key.pem \
	--user admin --password "$STALPREP_PASSWORD" >ready &
server=$!
tries=300
until [ -s ready ]; do
	[ "$((tries -= 1))" -gt 0 ] || die "the simulated server did not start"
	sleep 0.1
done
url=$(ready https_url)
http_url=$(ready http_url)
echo "  $url, the pin of its key is $pin"

settings >before
set -- --url "$url" --insecure --pinnedpubkey "$pin"
show print --proxy 203.0.113.10 --public-url https://mail.example.org --relay new.example.org
show stage "$@" --proxy 203.0.113.10 --public-url https://mail.example.org --relay new.example.org
show status "$@"
show clear "$@"
settings >after

echo
diff before after
echo "All $(wc -l <after | tr -d ' ') settings of the server are the same as before."
