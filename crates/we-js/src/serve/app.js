// The module `we:serve` but for websocket(), and what the platform asks of an application: which routes it has, and to answer.
import { isRoom, isWebSocket, room, websocket } from 'we:serve/native';

export { room, websocket };

const encoder = new TextEncoder();

/** So much may wait for a client before data() and event() ask to be waited for, and so much before they throw. */
const HIGH_WATER = 64 << 10;
const LIMIT = 16 << 20;

/** The stream of an event source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
class EventStream {
    #controller;
    #readable;
    /** Those who wait until the client has read. */
    #waiting = [];
    #isOpen = true;
    #beat;
    #wasQuiet = true;
    #ended;
    #closed = new Promise(resolve => { this.#ended = resolve; });

    constructor() {
        this.#readable = new ReadableStream({
            start: controller => { this.#controller = controller; },
            pull: () => this.#wake(true),
            cancel: () => this.#end(),
        }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER }));
    }

    static readableOf(stream) { return stream.#readable; }

    static fail(stream, error) {
        if (!stream.#isOpen) return;
        stream.#controller.error(error);
        stream.#end();
    }

    /** Resolves when the stream has ended: by close(), or because the client has gone. */
    get closed() { return this.#closed; }

    /** Sends bytes, or text in UTF-8, as they are. Returns whether the client is still there, or a promise of that while it is slow. */
    data(bytes) {
        if (typeof bytes === 'string') return this.#write(encoder.encode(bytes));
        if (ArrayBuffer.isView(bytes)) return this.#write(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice());
        return this.#write(new Uint8Array(bytes).slice());
    }

    /** Sends an event. */
    event({ event, data = '', id, retry } = {}) {
        let text = '';
        if (event !== undefined) text += `event: ${line('event', event)}\n`;
        if (id !== undefined) {
            if (`${id}`.includes('\0')) throw new TypeError('event(): there is a NUL in the id');
            text += `id: ${line('id', id)}\n`;
        }
        if (retry !== undefined) {
            if (!Number.isSafeInteger(retry) || retry < 0) throw new RangeError('event(): retry is a number of milliseconds, from 0');
            text += `retry: ${retry}\n`;
        }
        return this.data(`${text}data: ${`${data}`.replace(/\r\n|\r|\n/g, '\ndata: ')}\n\n`);
    }

    /** Sends a comment, which clients do not tell of. */
    comment(text = '') {
        return this.data(`: ${line('a comment', text)}\n\n`);
    }

    /** Has a comment sent after each `ms` milliseconds in which nothing else was, so that nothing on the way takes the connection for dead. */
    heartbeat(ms) {
        if (!(ms > 0)) throw new RangeError('heartbeat(): give it a number of milliseconds');
        clearInterval(this.#beat);
        if (!this.#isOpen) return;
        this.#beat = setInterval(() => {
            if (this.#wasQuiet) this.comment();
            this.#wasQuiet = true;
        }, ms);
    }

    /** Ends the stream, behind what was sent. */
    close() {
        if (!this.#isOpen) return;
        this.#controller.close();
        this.#end();
    }

    #write(bytes) {
        if (!this.#isOpen) return false;
        if (-this.#controller.desiredSize > LIMIT) {
            throw new RangeError('too much waits for a slow client: wait for what data() and event() return');
        }
        this.#wasQuiet = false;
        // An empty chunk means nothing to a stream of bytes.
        if (bytes.byteLength > 0) this.#controller.enqueue(bytes);
        if (this.#controller.desiredSize > 0) return true;
        return new Promise(resolve => this.#waiting.push(resolve));
    }

    #wake(isThere) {
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const resolve of waiting) resolve(isThere);
    }

    #end() {
        this.#isOpen = false;
        clearInterval(this.#beat);
        this.#wake(false);
        this.#ended();
    }
}

function line(name, value) {
    const text = `${value}`;
    if (/[\r\n]/.test(text)) throw new TypeError(`event(): ${name} must be one line`);
    return text;
}

/** What sse() returns. */
class Feed {
    #handler;

    constructor(handler) { this.#handler = handler; }

    answer(request) {
        const stream = new EventStream();
        const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' };
        const response = new Response(EventStream.readableOf(stream), { headers });
        const result = this.#handler.call(undefined, request, stream);
        // A function that goes on by itself, with timers say, ends the stream itself.
        if (!(result instanceof Promise)) return { response, done: stream.closed };
        const done = result.then(() => stream.close(), error => {
            EventStream.fail(stream, error);
            throw error;
        });
        return { response, done };
    }
}

/** A route whose handler feeds an event source: `sse(async (request, stream) => { ... })`. */
export function sse(handler) {
    if (typeof handler !== 'function') throw new TypeError('sse(): give it a function of a request and a stream');
    return new Feed(handler);
}

/** What routes() returns. */
class Routes {
    #table = new Map();
    #hasRooms = false;

    constructor(entries) {
        for (const [pattern, handler] of entries) {
            if (!/^\/[^*\s?#]*\*?$/.test(pattern) || (pattern.endsWith('*') && !pattern.endsWith('/*'))) {
                throw new TypeError(`routes(): "${pattern}" is no path; write "/path", or "/path/*" for all below it`);
            }
            if (kind(handler) === undefined) {
                throw new TypeError(`routes(): what "${pattern}" leads to is neither websocket(), room(), sse() nor a function of a request`);
            }
            if (isRoom(handler)) {
                if (!pattern.endsWith('/*')) throw new TypeError(`routes(): "${pattern}" leads to rooms; write "${pattern}/*", which has a room for each name below it`);
                if (this.#hasRooms) throw new TypeError('routes(): only one of the routes may lead to rooms');
                this.#hasRooms = true;
            }
            this.#table.set(pattern, handler);
        }
    }

    /** For the platform: a line for each route. */
    get manifest() {
        return [...this.#table].map(([pattern, handler]) => `${kind(handler)} ${pattern}`).join('\n');
    }

    /** For the platform: the handlers of a route that is a WebSocket's, or for rooms. */
    handlers(pattern) {
        return this.#table.get(pattern);
    }

    /** For the platform: the answer to a request, and when whoever gives it has come to an end. */
    http(pattern, request) {
        const handler = this.#table.get(pattern);
        if (handler instanceof Feed) return handler.answer(request);
        const response = handler.call(undefined, request);
        return { response, done: response };
    }
}

function kind(handler) {
    if (isWebSocket(handler)) return 'websocket';
    if (isRoom(handler)) return 'room';
    if (handler instanceof Feed || typeof handler === 'function') return 'http';
    return undefined;
}

/** Several routes: `routes({ '/chat': websocket({ ... }), '/ticker': sse(...), '/*': request => new Response('hello') })`. */
export function routes(table) {
    if (typeof table !== 'object' || table === null) throw new TypeError('routes(): give it an object of paths and handlers');
    return new Routes(Object.entries(table));
}

/** For the platform: the routes of an application, whose default export this is. */
export function resolve(app) {
    if (app instanceof Routes) return app;
    if (kind(app) === undefined) {
        throw new TypeError('the default export is not what websocket(), room(), sse() or routes() of "we:serve" returns, nor a function of a request; write: export default websocket({ message(socket, data) { ... } })');
    }
    return new Routes([[isRoom(app) ? '/ws/*' : '/*', app]]);
}
