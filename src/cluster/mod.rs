//! A broker's side of the control plane: registration, heartbeats, feed client, published image, calls to the controllers.
