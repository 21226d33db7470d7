// An echo server for `we serve`, which listens where it is told and says so.
import { websocket } from 'we:serve';

export default websocket({
  message(socket, data) {
    socket.send(data);
  },
});
