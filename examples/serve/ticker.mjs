// A clock for EventSource, and a page that shows it: we serve examples/serve/ticker.mjs, then open http://127.0.0.1:9001/
import { routes, sse } from 'we:serve';

const page = `<!doctype html><meta charset="utf-8"><title>Ticker</title><h1></h1>
<script>new EventSource('/ticks').addEventListener('tick', ({ data }) => { document.querySelector('h1').textContent = data; });</script>`;

export default routes({
    '/': () => new Response(page, { headers: { 'Content-Type': 'text/html' } }),
    '/ticks': sse(async (request, stream) => {
        stream.heartbeat(15_000);
        // A client that comes back says which event was its last.
        let id = Number(request.headers.get('last-event-id') ?? 0);
        while (await stream.event({ event: 'tick', data: new Date().toISOString(), id: ++id, retry: 1000 })) {
            await new Promise(resolve => setTimeout(resolve, 100));
        }
    }),
});
