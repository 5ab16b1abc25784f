"""The one broker: Fyers, through fyers-apiv3, over the gateway's own transport. Its rules load without the client."""
