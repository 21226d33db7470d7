// The status page of `we serve`: shows what each event of status/events says. Names come from clients, so whatever is shown is set as text.
'use strict';

const SPAN = 120; // seconds that the chart shows
const GAP = 3; // seconds without a measurement after which its line is broken

const at = id => document.getElementById(id);
const count = new Intl.NumberFormat('en');
const rate = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

const samples = []; // { time, received, sent }, in seconds and messages per second
let last = null; // what was shown last

/** Sets a text. One that has not changed is left alone, so that it stays selected. */
function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
}

function plural(number, one, many) {
    return `${count.format(number)} ${number === 1 ? one : many}`;
}

function bytes(number) {
    const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let unit = 0;
    while (number >= 999.5 && unit < units.length - 1) {
        number /= 1000;
        unit++;
    }
    return `${rate.format(number)} ${units[unit]}`;
}

function duration(seconds) {
    const [d, h, m, s] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map(Math.floor);
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${m} min`;
    return m ? `${m} min ${s} s` : `${s} s`;
}

/** Shows what an event says. */
function show(data) {
    const { connections, messages, bytes: volume, requests, instances, failures, rooms } = data;
    measure(data);
    const now = samples.at(-1);
    document.title = `${data.title} – we serve`;
    put(at('title'), data.title);
    put(at('uptime'), `· server up for ${duration(data.uptime)}`);
    put(at('open'), count.format(connections.open));
    put(at('opened'), `${count.format(connections.total)} in all`);
    put(at('received'), count.format(messages.in));
    put(at('received-note'), bytes(volume.in));
    put(at('sent'), count.format(messages.out));
    put(at('sent-note'), bytes(volume.out));
    at('requests-tile').hidden = requests === null;
    put(at('requests'), count.format(requests ?? 0));
    at('instances-tile').hidden = instances === null;
    if (instances) {
        put(at('running'), count.format(instances.running));
        put(at('spare'), `${count.format(instances.spare)} spare`);
    }
    put(at('failures'), count.format(failures));
    at('failures').classList.toggle('bad', failures > 0);
    put(at('refused'), connections.refused ? plural(connections.refused, 'handshake refused', 'handshakes refused') : 'since the start');
    if (now) {
        const peak = samples.reduce((most, { received, sent }) => Math.max(most, received, sent), 0);
        put(at('chart-text'), `Now ${rate.format(now.received)} received and ${rate.format(now.sent)} sent per second; at most ${rate.format(peak)} in the last two minutes.`);
    }
    draw();
    list(rooms, data.more_rooms);
}

/** Takes down how much has happened since the last event. Another server, or a clock that stands, is no measurement. */
function measure(data) {
    const before = last;
    last = data;
    if (before === null || before.started !== data.started || data.uptime <= before.uptime) return;
    const time = performance.now() / 1000;
    const per = (now, then) => Math.max(0, now - then) / (data.uptime - before.uptime);
    samples.push({ time, received: per(data.messages.in, before.messages.in), sent: per(data.messages.out, before.messages.out) });
    while (samples[0].time < time - SPAN - GAP) samples.shift();
}

/** The least of 1, 2, 4, 6, 8, 10, 20, 40 ... that is no less. */
function ceiling(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 4, 6, 8, 10].map(step => step * power).find(step => step >= value);
}

function element(name, attributes, text) {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
}

function draw() {
    const chart = at('chart');
    const { clientWidth: width, clientHeight: height } = chart;
    if (!width || !height) return;
    const end = samples.at(-1)?.time ?? 0;
    const most = ceiling(samples.reduce((peak, { received, sent }) => Math.max(peak, received, sent), 0));
    const label = count.format(most);
    const [left, right, top, bottom] = [16 + 7 * label.length, 8, 10, 24];
    const x = time => left + (width - left - right) * (1 + (time - end) / SPAN);
    const y = value => top + (height - top - bottom) * (1 - value / most);
    const nodes = [];
    for (const part of [0, .5, 1]) {
        const level = y(most * part);
        nodes.push(element('line', { class: 'rule', x1: left, x2: width - right, y1: level, y2: level }));
        nodes.push(element('text', { x: left - 8, y: level + 4, 'text-anchor': 'end' }, count.format(most * part)));
    }
    for (const [ago, text, anchor] of [[SPAN, '2 min ago', 'start'], [SPAN / 2, '1 min ago', 'middle'], [0, 'now', 'end']]) {
        nodes.push(element('text', { x: x(end - ago), y: height - 6, 'text-anchor': anchor }, text));
    }
    // Lines that are broken where nobody has measured.
    const pieces = [];
    for (const sample of samples) {
        if (sample.time < end - SPAN) continue;
        const piece = pieces.at(-1);
        if (piece && sample.time - piece.at(-1).time < GAP) piece.push(sample);
        else pieces.push([sample]);
    }
    const line = (piece, key) => piece.map(sample => `${x(sample.time).toFixed(1)},${y(sample[key]).toFixed(1)}`).join(' ');
    for (const piece of pieces) {
        const [first, final] = [x(piece[0].time), x(piece.at(-1).time)];
        nodes.push(element('polygon', { class: 'area', points: `${first},${y(0)} ${line(piece, 'received')} ${final},${y(0)}` }));
        nodes.push(element('polyline', { class: 'received', points: line(piece, 'received') }));
        nodes.push(element('polyline', { class: 'sent', points: line(piece, 'sent') }));
    }
    chart.setAttribute('viewBox', `0 0 ${width} ${height}`);
    chart.replaceChildren(...nodes);
}

function list(rooms, more) {
    at('rooms-section').hidden = rooms === null;
    if (rooms === null) return;
    put(at('rooms-heading'), rooms.length ? plural(rooms.length + more, 'room', 'rooms') : 'No rooms at the moment');
    at('rooms').parentNode.hidden = rooms.length === 0;
    const body = at('rooms').tBodies[0];
    while (body.rows.length > rooms.length) body.deleteRow(-1);
    rooms.forEach((room, index) => {
        const row = body.rows[index] ?? fresh(body);
        const name = row.cells[0].firstChild;
        put(name, room.name);
        [room.clients, room.received, room.sent, room.failures].forEach((number, cell) => put(row.cells[cell + 1], count.format(number)));
        row.cells[4].classList.toggle('bad', room.failures > 0);
    });
    at('more').hidden = more === 0;
    put(at('more'), `and ${count.format(more)} more, with fewer clients`);
}

function fresh(body) {
    const row = body.insertRow();
    const head = document.createElement('th');
    head.scope = 'row';
    // A name may be written from right to left, which is not to reach the numbers.
    head.append(document.createElement('bdi'));
    row.append(head);
    for (let cell = 0; cell < 4; cell++) row.insertCell();
    return row;
}

function say(state) {
    const node = at('state');
    node.dataset.state = state;
    put(node, state);
    at('main').classList.toggle('stale', state !== 'connected');
}

function follow() {
    const source = new EventSource('status/events');
    source.onmessage = ({ data }) => {
        say('connected');
        show(JSON.parse(data));
    };
    source.onerror = () => {
        say('disconnected');
        // It tries again by itself, unless the answer was none that it could use.
        if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
    };
}

new ResizeObserver(draw).observe(at('chart'));
follow();
