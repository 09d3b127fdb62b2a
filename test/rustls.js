// rustls.js - a rustls server (deno's) that relays what it deciphers to a port: CERT KEY PORT, the first two as PEM; prints its own port
const [cert, key, port] = Deno.args;
const listening = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
console.log(listening.addr.port);
for (;;) {
  try {
    relay(await listening.accept());
  } catch { /* a connection that did not come about */ }
}
async function relay(client) {
  const server = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const ways = [client.readable.pipeTo(server.writable), server.readable.pipeTo(client.writable)];
  await Promise.allSettled(ways);
}
