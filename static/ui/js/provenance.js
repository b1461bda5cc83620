// What a picture must say about where its figures come from, inside the picture itself.

/**
 * @param {{simulated?: boolean, stand_in?: boolean}} origin
 * @returns {object[]} plotly annotations, from the top right corner down
 */
export function provenanceNotes(origin, theme) {
  const words = [origin.simulated ? "Simulated" : "", origin.stand_in ? "Stand-in encoder" : ""].filter(Boolean);
  return words.map((text, index) => ({
    text, xref: "paper", yref: "paper", x: 1, y: 1, yshift: -24 * index, xanchor: "right", yanchor: "top", showarrow: false,
    font: { size: 12, color: theme.text3 }, bordercolor: theme.text3, borderwidth: 1, borderpad: 3,
  }));
}
