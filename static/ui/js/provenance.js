// What a picture must say about where its figures come from, inside the picture itself.

/**
 * @param {{simulated?: boolean, stand_in?: boolean}} origin
 * @param {{above?: boolean}} [place] above = over the plot's area instead of in its top right corner
 * @returns {object[]} plotly annotations
 */
export function provenanceNotes(origin, theme, { above = false } = {}) {
  const words = [origin.simulated ? "Simulated" : "", origin.stand_in ? "Stand-in encoder" : ""].filter(Boolean);
  if (!words.length) return [];
  return [{
    text: words.length > 1 ? "Simulated, stand-in encoder" : words[0], xref: "paper", yref: "paper", x: 1, y: 1, yshift: above ? 6 : 0, xanchor: "right", yanchor: above ? "bottom" : "top", showarrow: false,
    font: { size: 12, color: theme.text3 }, bordercolor: theme.text3, borderwidth: 1, borderpad: 3,
  }];
}
