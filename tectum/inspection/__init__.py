"""What goes on in a system while it tracks: hooks that note it, arrays that hold it, sheets that show it."""
