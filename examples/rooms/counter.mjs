// A counter for each room, shared by all who are in it: we serve --rooms examples/rooms/counter.mjs
import { room } from 'we:serve';

let count = 0;

export default room({
    connect(client) { client.send(`${count}`); },

    message(client, data, ctx) {
        const step = { '+': 1, '-': -1 }[data];
        if (step === undefined) return client.send('send + or -');
        count += step;
        ctx.send(ctx.everyone, `${count}`);
    },
});
