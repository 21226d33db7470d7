// Sends everything back: we serve examples/serve/echo.mjs
import { websocket } from 'we:serve';

export default websocket({
    message(socket, data) { socket.send(data); },
});
