// A room for `we serve`: what anybody says everyone hears.
import { room } from 'we:serve';

export default room({
  message(client, data, ctx) {
    ctx.send(ctx.everyone, data);
  },
});
